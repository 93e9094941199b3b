# Each component gives way to its upstream twin in a running cluster, and comes back, while pods run: no container
# starts again, no object changes, and what the component does goes on. UPSTREAM names a folder with upstream's binaries;
# those that it lacks are skipped.

[ -d "${UPSTREAM:-}" ] || { echo "end to end: swaps need UPSTREAM, a folder with upstream's binaries"; failed=$((failed + 1)); exit 1; }
# The supervisor starts binaries from their folder again when they end: another one is put there.
ours=$binaries
binaries=$(mktemp -d /tmp/e2e.XXXXXX)
cp "$ours"/{bootstrap,cluster-dns,kube-apiserver,kube-controller-manager,kube-scheduler,kube-proxy,kubelet,kubectl-rs} "$binaries"

cluster_up
check "the web image is packed" "$top/tests/images/web" localhost/web:1 "$dir/web.tar"
check "the runtime takes it" ctr --address "$dir/run/containerd/containerd.sock" --namespace k8s.io images import "$dir/web.tar"
check "a workload is made" k apply -f "$here/swaps.yaml"
check "the Deployment is ready" says '2/2' k get deployment web
check "the StatefulSet is ready" says '2/2' k get statefulset state
check "the DaemonSet is ready" says '^agent +1 +1 +1' k get daemonset agent --no-headers
check "a pod of all kinds of volumes is ready" says '^full +3/3' k get pod full --no-headers
url=http://10.198.0.1:30007/
check "the node port answers" curl -sfm 2 $url


# What must stay as it is: containers, restarts, since when pods are ready, and who owns what. Upstream's kubelet waits for
# a probe's first answer when it starts, which shows in the condition: that is not asked of it.
steady() {
    k get pods -A -l "steady=yes$1" -o 'jsonpath={range .items[*]}{.metadata.name} {.metadata.uid} {.metadata.ownerReferences[*].uid} {.status.containerStatuses[*].containerID} {.status.containerStatuses[*].restartCount} {.status.initContainerStatuses[*].containerID} {.status.conditions[?(@.type=="PodReadyToStartContainers")].lastTransitionTime}{"\n"}{end}'
    k get pods -A -l "steady=yes$1" -o 'jsonpath={range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Ready")].lastTransitionTime}{"\n"}{end}'
    k get replicasets,controllerrevisions -l steady=yes -o 'jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.uid}{"\n"}{end}'
}
as_before() { steady "$1" >"$dir/steady.now" && diff "$dir/steady" "$dir/steady.now"; }

# swap COMPONENT FOLDER: the supervisor runs the binary of that folder from now on.
swap() {
    local old
    old=$(pid "$1")
    cp "$2/$1" "$binaries/$1.new" && mv "$binaries/$1.new" "$binaries/$1"
    kill -TERM "$old"
    another() { local now; now=$(pid "$1") && [ -n "$now" ] && [ "$now" != "$2" ] && kill -0 "$now" && [ "/proc/$now/exe" -ef "$binaries/$1" ]; }
    # Upstream's apiserver gives its watches a minute to end.
    patience=150 check "$1 is another binary" another "$1" "$old"
}

# What every component has a part in, done anew.
works() {
    local name=after-$1-$round
    check "the apiserver is ready" k get --raw /readyz
    check "the node is ready" counts 1 ' Ready ' k get nodes --no-headers
    patience=60 check "a Deployment is made" k create deployment "$name" --image=localhost/web:1 --replicas=2
    patience=60 check "its pods run" says '2/2' k get deployment "$name"
    check "a Service is made" k expose deployment "$name" --port=80 --target-port=80
    address=$(k get service "$name" -o 'jsonpath={.spec.clusterIP}')
    patience=60 check "the Service answers" curl -sfm 2 "http://$address/"
    check "logs are read" k logs "deployment/$name"
    check "a command runs" says 'x' k exec "deployment/$name" -- /bin/busybox echo x
    check "the Deployment goes" k delete deployment,service "$name"
    patience=90 check "and its pods" quiet k get pods -l "app=$name" -o name
    check "a namespace is made" k create namespace "$name"
    check "it gets a service account" k get serviceaccount default -n "$name"
    patience=60 check "it goes" k delete namespace "$name"
    check "the node port still answers" curl -sfm 2 $url
    check "what runs is as before" as_before "$unprobed"
}

for component in ${COMPONENTS:-kubelet kube-proxy kube-scheduler kube-controller-manager kube-apiserver}; do
    [ -x "$UPSTREAM/$component" ] || { echo "end to end: no $component of upstream's, skipped"; continue; }
    for round in there back; do
        echo "-- $component $round"
        unprobed=
        [ "$component $round" != "kubelet there" ] || unprobed=,app!=web
        steady "$unprobed" >"$dir/steady"
        case $round in there) swap "$component" "$UPSTREAM" ;; back) swap "$component" "$ours" ;; esac
        works "$component"
    done
done
rm -rf "$binaries"
binaries=$ours
