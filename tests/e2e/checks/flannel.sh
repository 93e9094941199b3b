# Two node hosts whose pods reach each other through flannel: a tunnel that follows the nodes, the plugin that a pod
# of each node installs, and network policies.

# shellcheck source=../spread.sh
. "$here/spread.sh"
nodes_up --network flannel
check "the daemons are ready" says '2 +2 +2 +2 +2' k -n kube-flannel get daemonset kube-flannel-ds --no-headers
node_jsonpath() { k get node "$1" -o "jsonpath=$2"; }
check "the node says how it is reached" says '^vxlan 10\.198\.0\.11 true$' node_jsonpath node-1 \
    '{.metadata.annotations.flannel\.alpha\.coreos\.com/backend-type} {.metadata.annotations.flannel\.alpha\.coreos\.com/public-ip} {.metadata.annotations.flannel\.alpha\.coreos\.com/kube-subnet-manager}'
check "the node has a network" says '^False FlannelIsUp$' node_jsonpath node-1 \
    '{.status.conditions[?(@.type=="NetworkUnavailable")].status} {.status.conditions[?(@.type=="NetworkUnavailable")].reason}'
routes() { ip -n "kube-$1" route show dev flannel.1; }
check "node-1 has a way to node-2" counts 1 '^10\.244\.[0-9]+\.0/24 via .* onlink' routes node-1
spread
reach_each_other

# refused COMMAND...: what is refused in silence takes its time.
refused() { ! "$@"; }
# Policies: probes reach their pods whatever they say.
check "nothing is received any more" k create -f - <<'YAML'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: nothing}
spec:
  podSelector: {matchLabels: {app: spread}}
  policyTypes: [Ingress]
YAML
check "node-1's pod does not reach node-2's" refused fetch "$first" "$(ip_of "$second")"
check "nor the other way" refused fetch "$second" "$(ip_of "$first")"
check "the replicas stay ready" says '2/2' k get deployment spread
check "pods of the namespace are allowed, on a port by its name" k create -f - <<'YAML'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: spread}
spec:
  podSelector: {matchLabels: {app: spread}}
  ingress:
  - from:
    - podSelector: {matchLabels: {app: spread}}
    ports:
    - {port: http}
YAML
check "node-1's pod reaches node-2's again" fetch "$first" "$(ip_of "$second")"
check "the policies go" k delete networkpolicy nothing spread
check "the node port answers again" says hello curl -sm 2 http://10.198.0.11:30006/

# Daemons that restart cut nothing, and keep the address that others know.
mac() { ip -n "kube-$1" -o link show flannel.1 | grep -oE 'link/ether [0-9a-f:]+'; }
before=$(mac node-1)
check "the daemons restart" k -n kube-flannel rollout restart daemonset kube-flannel-ds
patience=90 check "and are ready" k -n kube-flannel rollout status daemonset kube-flannel-ds --timeout 5s
check "the device is the same" test "$(mac node-1)" = "$before"
check "node-1's pod reaches node-2's" fetch "$first" "$(ip_of "$second")"

# A lost device is made again.
ip -n kube-node-1 link delete flannel.1
patience=30 check "node-1 has a way to node-2 again" counts 1 '^10\.244\.[0-9]+\.0/24 via .* onlink' routes node-1
check "the device has its address" test "$(mac node-1)" = "$before"
check "node-1's pod reaches node-2's" fetch "$first" "$(ip_of "$second")"

# What the plugin keeps of a pod goes with the pod.
check "the pod's address is taken" says . ls "$dir/nodes/node-1/system/cni/networks/cbr0/$(ip_of "$first")"
taken=$dir/nodes/node-1/system/cni/networks/cbr0/$(ip_of "$first")
check "the deployment goes" k delete deployment spread
patience=60 check "its address is free" test ! -e "$taken"

# A node that leaves is forgotten.
check "node-2 leaves" k delete node node-2 --wait=false
patience=30 check "node-1 has no way to it any more" counts 0 . routes node-1
