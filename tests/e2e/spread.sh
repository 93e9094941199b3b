# Two node hosts with a web server's pod on each, sourced by the checks that look at what crosses their network.
#
# Kept: $first and $second, the pods on node-1 and on node-2.

node_ctr() { ctr --address "$dir/nodes/$1/run/containerd/containerd.sock" --namespace k8s.io "${@:2}"; }
pod_on() { k get pods -l app=spread -o wide --no-headers | awk -v node="$1" '$3 == "Running" && $0 ~ node { print $1; exit }'; }
ip_of() { k get pod "$1" -o wide --no-headers | grep -oE '10\.244\.[0-9]+\.[0-9]+'; }
# fetch POD HOST: the pod gets the web server's page.
fetch() { says hello k exec "$1" -- /bin/busybox timeout 3 busybox wget -qO- "http://$2/"; }

# nodes_up [FLAGS]: the cluster.
nodes_up() {
    cluster_up --nodes 2 "$@"
    check "two nodes are ready" counts 2 ' Ready ' k get nodes --no-headers
}

# spread: the pods.
spread() {
    local node
    check "the web server is packed" "$top/tests/images/web" localhost/web:1 "$dir/web.tar"
    for node in node-1 node-2; do
        check "$node has the image" node_ctr "$node" images import "$dir/web.tar"
    done
    check "create" k create -f "$here/spread.yaml"
    check "two replicas are ready" says '2/2' k get deployment spread
    check "a pod is on each node" test -n "$(pod_on node-1)" -a -n "$(pod_on node-2)"
    first=$(pod_on node-1) second=$(pod_on node-2)
}

# reach_each_other: the pods, across the nodes, and from outside by the node port.
reach_each_other() {
    local address
    check "node-1's pod reaches node-2's" fetch "$first" "$(ip_of "$second")"
    check "node-2's pod reaches node-1's" fetch "$second" "$(ip_of "$first")"
    check "a pod reaches the Service by name" fetch "$first" spread
    for address in 10.198.0.1 10.198.0.11 10.198.0.12; do
        check "the node port answers on $address" says hello curl -sm 2 "http://$address:30006/"
    done
}
