# Two node hosts: pods reach each other across them; a node that is cut off turns NotReady, its pods
# are made again elsewhere, and when it returns it cleans up. Then a node is killed and boots again. NETWORK is the pod
# network, such as flannel.

cluster_up --nodes 2 ${NETWORK:+--network "$NETWORK"}
check "two nodes are ready" counts 2 ' Ready ' k get nodes --no-headers
check "the web server is packed" "$top/tests/images/web" localhost/web:1 "$dir/web.tar"
node_ctr() { ctr --address "$dir/nodes/$1/run/containerd/containerd.sock" --namespace k8s.io "${@:2}"; }
for node in node-1 node-2; do
    check "$node has the image" node_ctr "$node" images import "$dir/web.tar"
done
check "create" k create -f "$here/spread.yaml"
check "two replicas are ready" says '2/2' k get deployment spread
pod_on() { k get pods -l app=spread -o wide --no-headers | awk -v node="$1" '$3 == "Running" && $0 ~ node { print $1; exit }'; }
ip_of() { k get pod "$1" -o wide --no-headers | grep -oE '10\.244\.[0-9]+\.[0-9]+'; }
check "a pod is on each node" test -n "$(pod_on node-1)" -a -n "$(pod_on node-2)"
first=$(pod_on node-1) second=$(pod_on node-2)
fetch() { says hello k exec "$1" -- /bin/busybox timeout 3 busybox wget -qO- "http://$2/"; }
check "node-1's pod reaches node-2's" fetch "$first" "$(ip_of "$second")"
check "node-2's pod reaches node-1's" fetch "$second" "$(ip_of "$first")"
check "a pod reaches the Service by name" fetch "$first" spread
for address in 10.198.0.1 10.198.0.11 10.198.0.12; do
    check "the node port answers on $address" says hello curl -sm 2 "http://$address:30006/"
done

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
