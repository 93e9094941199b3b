# SIGTERM ends every binary within its grace period: leases are given back, watches end as streams do.
# Runs on the cluster that is up, and leaves it without processes.

# Nobody may start again what ends here.
kill -9 "$(cat "$dir/run/supervisor.pid")"
gone() { ! kill -0 "$1" 2>/dev/null; }
terminate() {
    local process
    process=$(pid "$1")
    kill -TERM "$process"
    patience=${2:-10} check "$1 ends on SIGTERM" gone "$process"
}
# What a component has logged since it started last. One that was killed leaves a lease that looks held.
since_start() { tac "$dir/logs/$1.log" | sed "/starting $1/q"; }
holder() { k get lease "$1" -n kube-system -o yaml | sed -n 's/^ *holderIdentity: *//p' | tr -d "\"'"; }
# The DNS servers are pods; one that ends is started again.
dns=$(pgrep -f '^/usr/bin/cluster-dns' | head -n 1)
kill -TERM "$dns"
patience=10 check "cluster-dns ends on SIGTERM" gone "$dns"
terminate kube-proxy
terminate kubelet
for component in kube-scheduler kube-controller-manager; do
    check "$component leads" says 'became leader' since_start "$component"
    check "$component holds its lease" says . holder "$component"
    terminate "$component"
    check "$component gave its lease back" quiet holder "$component"
done
curl -sN --cacert "$dir/pki/ca.crt" --cert "$dir/pki/admin.crt" --key "$dir/pki/admin.key" \
    'https://127.0.0.1:6443/api/v1/namespaces?watch=1' >"$dir/watch.out" 2>&1 &
watch=$!
check "a watch delivers" says ADDED cat "$dir/watch.out"
terminate kube-apiserver 30
wait "$watch"
check "the watch ended as a stream does" test "$?" = 0
