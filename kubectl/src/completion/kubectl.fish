# fish completion for kubectl: every Tab asks the program itself.

function __kubectl_ask
    set -l words (commandline -opc)
    set -l typed (commandline -ct)
    set -l program $words[1]
    $program __complete $words[2..-1] "$typed" 2>/dev/null
end

function __kubectl_candidates
    set -l lines (__kubectl_ask)
    test (count $lines) -gt 0; or return
    set -l directive (string replace ':' '' -- $lines[-1])
    string match -qr '^[0-9]+$' -- $directive; or set directive 0
    set -l lead (string match -r '^-.*=' -- (commandline -ct))
    if test (math "floor($directive / 8) % 2") -eq 1
        __fish_complete_suffix .json .yaml .yml
        return
    end
    if test (count $lines) -gt 1
        for line in $lines[1..-2]
            printf '%s%s\n' "$lead" $line
        end
    else if test (math "floor($directive / 4) % 2") -eq 0
        __fish_complete_path (commandline -ct)
    end
end

for name in kubectl kubectl-rs
    complete -c $name -e
    complete -c $name -f -a '(__kubectl_candidates)'
end
