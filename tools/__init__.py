"""Commands for who builds and ships rtqc: constraints with hashes, the software bill of materials, the list of licences."""
