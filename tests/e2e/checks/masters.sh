# Three masters behind a load balancer and two node hosts: a master crashes and boots again, another one is cut off,
# and the cluster goes on; a backup brings back what was deleted.

# shellcheck source=../spread.sh
. "$here/spread.sh"
nodes_up --masters 3
check "three apiservers serve the Service kubernetes" counts 3 '"10\.198\.0\.[234]"' k get endpointslices kubernetes -o 'jsonpath={range .endpoints[*].addresses[*]}"{@}"{"\n"}{end}'
spread
reach_each_other

etcd() { # etcd MASTER ARGUMENTS...: asks the member of a master.
    local number=${1#master-}
    ETCDCTL_API=3 etcdctl --endpoints="https://10.198.0.$((number + 1)):2379" --cacert="$dir/pki/etcd-ca.crt" \
        --cert="$dir/masters/$1/pki/apiserver-etcd-client.crt" --key="$dir/masters/$1/pki/apiserver-etcd-client.key" "${@:2}"
}
for master in master-1 master-2 master-3; do
    check "the member of $master is healthy" says 'is healthy' etcd "$master" endpoint health
done

# A backup, while everything runs.
check "something to keep" k create configmap kept --from-literal=a=b
check "a backup" "$top/deploy/backup" --dir "$dir" --binaries "$binaries" "$dir/backup.tar"
check "which only its owner can read" says '^600$' stat -c %a "$dir/backup.tar"

# A crash of the master that leads.
holder() { k -n kube-system get lease "$1" -o 'jsonpath={.spec.holderIdentity}'; }
leader=$(holder kube-controller-manager)
leader=${leader%%_*}
check "a master leads ($leader)" says '^master-[123]$' echo "$leader"
load_begin https://127.0.0.1:6443/readyz "$dir/readyz" --cacert "$dir/pki/ca.crt"
before=$(pgrep -P "$(pid "$leader")")
kill -9 "$before"
crashed=$SECONDS
another() { local now; now=$(holder "$1") && [ -n "$now" ] && [ "${now%%_*}" != "$leader" ]; }
patience=15 check "writes go on" k create configmap after --from-literal=a=b
echo "   $((SECONDS - crashed)) s after the crash"
scaled() { k scale deployment spread --replicas "$1"; }
check "more replicas" scaled 3
patience=60 check "another controller manager makes them, another scheduler places them" says '3/3' k get deployment spread
echo "   $((SECONDS - crashed)) s after the crash"
booted() { local now; now=$(pgrep -P "$(pid "$leader")") && [ "$now" != "$before" ]; }
check "$leader boots" booted
patience=60 check "its member is healthy again" says 'is healthy' etcd "$leader" endpoint health
patience=60 check "its apiserver serves again" says '^ok$' curl -sm 2 --cacert "$dir/pki/ca.crt" "https://10.198.0.$((${leader#master-} + 1)):6443/readyz"
# What was under way on connections that broke may be lost, and nothing else.
few() { [ "$(grep -cv '^[^ ]* 200 ' "$1")" -le "$2" ]; }
check "clients of the load balancer hardly noticed" few "$dir/readyz" 3
for load in "${loads[@]}"; do kill "$load"; done
loads=()

# Cut off: packets vanish, nobody says so.
cut=master-1
[ "$leader" = master-1 ] && cut=master-2
ip -n kube-fabric link set "$cut" down
since=$SECONDS
patience=20 check "writes go on without $cut" k create configmap cut --from-literal=a=b
echo "   $((SECONDS - since)) s after the cut"
patience=60 check "the nodes stay ready" counts 2 ' Ready ' k get nodes --no-headers
patience=90 check "pods come and go" scaled 2
patience=90 check "two replicas are ready" says '2/2' k get deployment spread
ip -n kube-fabric link set "$cut" up
patience=60 check "the member of $cut is healthy again" says 'is healthy' etcd "$cut" endpoint health

# The past comes back.
check "what was kept is deleted" k delete configmap kept
check "it cannot be restored to another number of masters" says 'members are master-1, master-2, master-3' "$top/deploy/restore" --dir "$dir" --binaries "$binaries" --masters 1 "$dir/backup.tar"
check "a restore" "$top/deploy/restore" --dir "$dir" --binaries "$binaries" --masters 3 "$dir/backup.tar"
check "the cluster comes up again" "$top/deploy/up" --no-install --dir "$dir" --binaries "$binaries" --nodes 2 --masters 3
check "what was deleted is there" says '^kept' k get configmap kept --no-headers
absent() { ! k get configmap "$1"; }
check "what came after the backup is not" absent after
patience=90 check "two replicas are ready again" says '2/2' k get deployment spread
first=$(pod_on node-1) second=$(pod_on node-2)
patience=60 check "node-1's pod reaches node-2's" fetch "$first" "$(ip_of "$second")"
