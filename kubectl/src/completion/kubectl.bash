# bash completion for kubectl: every Tab asks the program itself.

__kubectl_complete() {
    local typed="${COMP_WORDS[COMP_CWORD]}" program="${COMP_WORDS[0]}"
    local -a words=("${COMP_WORDS[@]:1:COMP_CWORD}")
    # Bash splits words at "=" and ":"; what was typed as one word is put together again.
    local -a joined=()
    local i word
    for ((i = 0; i < ${#words[@]}; i++)); do
        word="${words[i]}"
        if ((${#joined[@]} > 0)) && [[ "${COMP_WORDBREAKS}" == *"="* ]] &&
            { [[ "$word" == "=" ]] || [[ "${joined[-1]}" == -*= && "$word" != -* ]]; }; then
            joined[-1]+="$word"
        else
            joined+=("$word")
        fi
    done
    ((${#joined[@]} == 0)) && joined=("")
    [[ "$typed" == "=" ]] && typed=""

    local out directive
    out=$("$program" __complete "${joined[@]}" 2>/dev/null) || return
    directive="${out##*:}"
    out="${out%:*}"
    [[ "$directive" =~ ^[0-9]+$ ]] || directive=0
    ((directive & 1)) && return

    local -a values=()
    local line
    while IFS= read -r line; do
        [[ -n "$line" ]] && values+=("${line%%$'\t'*}")
    done <<<"$out"

    COMPREPLY=()
    if ((directive & 8)); then
        local pattern
        pattern=$(IFS='|'; printf '%s' "${values[*]}")
        local file
        while IFS= read -r file; do
            COMPREPLY+=("$file")
        done < <(compgen -f -X "!*.@($pattern)" -- "$typed"; compgen -d -- "$typed")
        compopt -o filenames 2>/dev/null
        return
    fi
    local value
    for value in "${values[@]}"; do
        [[ "$value" == "$typed"* ]] && COMPREPLY+=("$value")
    done
    if ((${#COMPREPLY[@]} == 0 && !(directive & 4))); then
        while IFS= read -r file; do
            COMPREPLY+=("$file")
        done < <(compgen -f -- "$typed")
        compopt -o filenames 2>/dev/null
    fi
    ((directive & 2)) && compopt -o nospace 2>/dev/null
    return 0
}

shopt -s extglob 2>/dev/null
complete -o default -F __kubectl_complete kubectl kubectl-rs
