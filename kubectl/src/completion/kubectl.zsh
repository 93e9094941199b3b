#compdef kubectl kubectl-rs
# zsh completion for kubectl: every Tab asks the program itself.

_kubectl() {
    local -a asked lines values
    asked=("${(@Q)words[2,CURRENT]}")
    (( ${#asked} == 0 )) && asked=("")
    lines=("${(@f)$("${words[1]}" __complete "${asked[@]}" 2>/dev/null)}")

    local directive="${lines[-1]#:}" line
    [[ "$directive" == <-> ]] || directive=0
    (( directive & 1 )) && return 1

    for line in "${(@)lines[1,-2]}"; do
        [[ -z "$line" ]] && continue
        if [[ "$line" == *$'\t'* ]]; then
            values+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
        else
            values+=("${line//:/\\:}")
        fi
    done

    if (( directive & 8 )); then
        local -a extensions
        extensions=("${(@)lines[1,-2]}")
        _files -g "*.(${(j:|:)extensions})(-.)"
        return
    fi
    local -a more
    (( directive & 2 )) && more=(-S '')
    # A value behind "=" is completed without the flag in front of it.
    [[ "${words[CURRENT]}" == -*=* ]] && compset -P '*='
    if (( ${#values} )); then
        _describe -V 'kubectl' values "${more[@]}"
    elif ! (( directive & 4 )); then
        _files
    fi
}

if [[ "${funcstack[1]}" == "_kubectl" ]]; then
    _kubectl "$@"
elif (( $+functions[compdef] )); then
    compdef _kubectl kubectl kubectl-rs
fi
