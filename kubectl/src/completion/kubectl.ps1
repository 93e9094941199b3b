# PowerShell completion for kubectl: every Tab asks the program itself.

$kubectlCompleter = {
    param($typed, $ast, $cursor)
    $words = @($ast.CommandElements | Where-Object { $_.Extent.StartOffset -lt $cursor } | ForEach-Object { "$_" })
    $program = $words[0]
    $before = if ($words.Count -gt 1) { @($words[1..($words.Count - 1)]) } else { @() }
    if ($typed -ne '' -and $before.Count -gt 0) {
        $before = if ($before.Count -gt 1) { @($before[0..($before.Count - 2)]) } else { @() }
    }
    $last = if ($typed -eq '') { '""' } else { $typed }
    $lines = @(& $program __complete @before $last 2>$null)
    if ($lines.Count -eq 0) { return }
    $directive = 0
    [void][int]::TryParse($lines[-1].TrimStart(':'), [ref]$directive)
    if (($directive -band 1) -ne 0 -or $lines.Count -lt 2) { return }
    $lines[0..($lines.Count - 2)] | Where-Object { $_ } | ForEach-Object {
        $value, $about = $_ -split "`t", 2
        if (-not $about) { $about = $value }
        $text = if (($directive -band 2) -ne 0) { $value } else { "$value " }
        [System.Management.Automation.CompletionResult]::new($text, $value, 'ParameterValue', $about)
    }
}

Register-ArgumentCompleter -Native -CommandName 'kubectl', 'kubectl-rs' -ScriptBlock $kubectlCompleter
