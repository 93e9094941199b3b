# What the end-to-end checks share: a cluster in a folder of its own, and checks that are tried until
# they succeed. Sourced by tests/e2e/run.
#
# Set: $top (the repository), $here (tests/e2e), $binaries. Kept: $dir, $passed, $failed.

passed=0 failed=0 dir=
loads=()
# An end before the last check is a failure.
trap 'failed=$((failed + 1)); exit 1' INT TERM

# cluster_up [FLAGS]: a cluster in a new folder; $KUBECONFIG is its administrator's.
cluster_up() {
    dir=$(mktemp -d /tmp/e2e.XXXXXX)
    "$top/deploy/up" --no-install --dir "$dir" --binaries "$binaries" "$@" || { failed=$((failed + 1)); exit 1; }
    export KUBECONFIG=$dir/admin.conf
}

cluster_down() {
    [ -n "$dir" ] || return 0
    if [ "$failed" != 0 ]; then
        for log in "$dir"/logs/*.log "$dir"/masters/*/logs/*.log "$dir"/nodes/*/logs/*.log; do
            if [ -f "$log" ]; then echo "-- $log"; tail -n 10 "$log" | cut -c 1-300; fi
        done
    fi
    "$top/deploy/down" --dir "$dir" --binaries "$binaries" --purge >"$dir.down" 2>&1 || { cat "$dir.down"; failed=$((failed + 1)); }
    rm -rf "$dir" "$dir.down"
    dir=
}

# What is left is ours to end, also when a check failed or the run was interrupted.
finish() {
    for pid in "${loads[@]}"; do kill "$pid" 2>/dev/null; done
    cluster_down
    echo "end to end: $passed checks passed, $failed failed"
    [ "$failed" = 0 ]
}

# check WHAT COMMAND...: the command must succeed within $patience (30) seconds; it is tried until it does.
check() {
    local what=$1 deadline=$((SECONDS + ${patience:-30}))
    shift
    until "$@" >"$dir/check.out" 2>&1; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            echo "FAILED: $what"
            tail -n 20 "$dir/check.out"
            failed=$((failed + 1))
            return
        fi
        read -rt 0.2 <> <(:) || :
    done
    echo "ok: $what"
    passed=$((passed + 1))
}

# says PATTERN COMMAND...: the output has a line that matches.
says() { local want=$1 text; shift; text=$("$@" 2>&1); printf '%s\n' "$text"; grep -qE -- "$want" <<<"$text"; }
# lacks PATTERN COMMAND...: the command succeeds without such a line.
lacks() { local unwanted=$1 text; shift; text=$("$@" 2>&1) || { printf '%s\n' "$text"; return 1; }; ! grep -E -- "$unwanted" <<<"$text"; }
quiet() { local text; text=$("$@" 2>/dev/null) && [ -z "$text" ]; }
# counts NUMBER PATTERN COMMAND...: so many lines match.
counts() { local number=$1 want=$2 text; shift 2; text=$("$@" 2>/dev/null); printf '%s\n' "$text"; [ "$(grep -cE -- "$want" <<<"$text")" = "$number" ]; }

# The process ID of a supervised process.
pid() { sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p" "$dir/run/pids.json"; }

k() { "$binaries/kubectl-rs" "$@"; }

# load_begin URL FILE [FLAGS]: requests of curl one after the other, each on a connection of its own, until load_end.
load_begin() {
    (
        trap 'exit 0' TERM
        while :; do
            printf '%(%T)T %s\n' -1 "$(curl -so /dev/null -m 10 -w '%{http_code} %{time_total} %{errormsg}' "${@:3}" "$1")"
        done
    ) >"$2" &
    loads+=("$!")
}

# load_end FILE...: every request was answered with 200, and there were some.
load_end() {
    for load in "${loads[@]}"; do kill "$load"; wait "$load"; done 2>/dev/null
    loads=()
    local file
    for file in "$@"; do
        # The last line may be half a request.
        sed -i '$d' "$file"
        echo "$(wc -l <"$file") requests"
        grep -v '^[^ ]* 200 ' "$file" && return 1
        [ -s "$file" ] || return 1
    done
}
