# Run after an export: pwsh check_export.ps1 -Export FOLDER [-Reports FOLDER]
# Ends with 0 (plan may go on), 1 (somebody must look) or 2 (could not be assessed).
param(
    [Parameter(Mandatory = $true)] [string] $Export,
    [string] $Reports = "$Export-rtqc"
)
$rtqc = if ($env:RTQC) { $env:RTQC } else { "rtqc" }

# Only the JSON goes to stdout; messages go to stderr.
$json = & $rtqc check $Export --json --out $Reports --force
$status = $LASTEXITCODE

if ($status -le 1 -and $json) {
    $result = ($json -join "`n") | ConvertFrom-Json
    # Several plans lie in "cases", one is the document itself.
    $cases = if ($result.PSObject.Properties.Name -contains "cases") { $result.cases } else { @($result) }
    foreach ($case in $cases) {
        Write-Output ("{0}: {1}. {2}" -f $case.case.patient_id, $case.verdict, $case.headline)
    }
}
switch ($status) {
    0 { Write-Output "PASSED: $Reports" }
    1 { Write-Output "STOPPED, somebody must look: $Reports" }
    default { [Console]::Error.WriteLine("STOPPED, could not be assessed (status $status)") }
}
exit $status
