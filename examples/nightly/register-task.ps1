# Registers a Windows task that checks every new plan of the archive each night. Run once, as administrator; change the three paths.
$rtqc    = "C:\rtqc\Scripts\rtqc.exe"
$archive = "\\server\plans"
$out     = "D:\rtqc"

$action   = New-ScheduledTaskAction -Execute $rtqc -Argument "nightly `"$archive`" --out `"$out`""
$trigger  = New-ScheduledTaskTrigger -Daily -At 22:30
$settings = New-ScheduledTaskSettingsSet -StartWhenAvailable -MultipleInstances IgnoreNew -ExecutionTimeLimit (New-TimeSpan -Hours 20)
# UTF-8 for names of files and patients, whatever the machine's own encoding is.
[Environment]::SetEnvironmentVariable("PYTHONUTF8", "1", "Machine")
Register-ScheduledTask -TaskName "rtqc nightly" -Action $action -Trigger $trigger -Settings $settings -User "NT AUTHORITY\NETWORK SERVICE" -RunLevel Limited
