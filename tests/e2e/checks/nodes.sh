# Two node hosts: pods reach each other across them; a node that is cut off turns NotReady, its pods
# are made again elsewhere, and when it returns it cleans up. Then a node is killed and boots again. NETWORK is the pod
# network, such as flannel.

# shellcheck source=../spread.sh
. "$here/spread.sh"
nodes_up ${NETWORK:+--network "$NETWORK"}
spread
reach_each_other

# Cut off: the cable's far end goes down.
ip -n kube-fabric link set node-2 down
cut=$SECONDS
patience=70 check "node-2 is NotReady" says 'node-2 +NotReady' k get nodes --no-headers
after=$((SECONDS - cut))
# The last heartbeat was up to 10 s before the cut, and silence is looked at every 5 s.
check "after 40 s of silence ($after s after the cut)" test "$after" -ge 28 -a "$after" -le 50
patience=40 check "its pod is made again on node-1" counts 2 '1/1 +Running .*node-1' k get pods -l app=spread -o wide --no-headers
check "the node port answers meanwhile" says hello curl -sm 2 http://10.198.0.11:30006/
check "the pod that was cut off waits for its node" says "$second.*Terminating" k get pods --no-headers
ip -n kube-fabric link set node-2 up
mended=$SECONDS
patience=40 check "node-2 is ready again" says 'node-2 +Ready' k get nodes --no-headers
echo "   $((SECONDS - mended)) s after the cable is back"
absent() { ! k get pod "$1"; }
patience=60 check "the pod that was cut off is gone" absent "$second"
patience=60 check "and so are its containers" quiet node_ctr node-2 containers list --quiet "labels.\"io.kubernetes.pod.name\"==$second"

# A crash of a node: it boots again, and its pods run again.
before=$(pgrep -P "$(pid node-1)")
kill -9 "$before"
booted() { local now; now=$(pgrep -P "$(pid node-1)") && [ "$now" != "$before" ]; }
check "node-1 boots" booted
patience=90 check "two replicas are ready again" says '2/2' k get deployment spread
patience=60 check "the node port answers again" says hello curl -sm 2 http://10.198.0.11:30006/
check "up finds nothing to repair" "$top/deploy/up" --no-install --dir "$dir" --binaries "$binaries" --nodes 2 ${NETWORK:+--network "$NETWORK"}
