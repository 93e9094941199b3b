# The control plane as static pods: the kubelet runs it before there is an apiserver, shows it by mirror
# pods, and follows its manifests.

cluster_up --static-pods
check "the node is ready" counts 1 ' Ready ' k get nodes --no-headers
node=$(k get nodes -o name | sed 's,node/,,')
system() { k -n kube-system "$@"; }
for component in etcd kube-apiserver kube-controller-manager kube-scheduler; do
    check "$component has a mirror pod that is ready" says "^$component-$node +1/1 +Running" system get pods --no-headers
    check "no process of ours runs $component" test -z "$(pid "$component")"
done
check "the mirror belongs to the node" says "Node/$node" system get pod "kube-scheduler-$node" -o 'jsonpath={.metadata.ownerReferences[0].kind}/{.metadata.ownerReferences[0].name}'
check "a mirror's container has logs" says 'serving|starting' system logs "kube-scheduler-$node"

# A mirror that somebody deletes comes back; its containers do not notice.
uid_of() { system get pod "kube-scheduler-$node" -o 'jsonpath={.metadata.uid}'; }
container_of() { system get pod "kube-scheduler-$node" -o 'jsonpath={.status.containerStatuses[0].containerID}'; }
before=$(uid_of) container=$(container_of)
check "delete the mirror" system delete pod "kube-scheduler-$node" --wait=false
another() { local now; now=$(uid_of) && [ -n "$now" ] && [ "$now" != "$before" ]; }
check "it is made again" another
same_container() { [ "$(container_of)" = "$container" ]; }
check "its container is the same" same_container

# Another manifest is another pod.
manifests=$dir/config/manifests
sed -i 's/^    tier: control-plane/&\n    changed: "yes"/' "$manifests/kube-scheduler.yaml"
check "a changed manifest shows" says "kube-scheduler-$node" system get pods -l changed=yes -o name
other_container() { local now; now=$(container_of) && [ -n "$now" ] && [ "$now" != "$container" ]; }
patience=60 check "its container was made anew" other_container
check "it is ready" says "^kube-scheduler-$node +1/1 +Running" system get pods --no-headers

# A manifest that goes takes its pod along, and brings it back.
mv "$manifests/kube-scheduler.yaml" "$dir/kube-scheduler.yaml"
gone() { ! system get pod "kube-scheduler-$node"; }
patience=60 check "without a manifest there is no mirror" gone
check "and no container" quiet ctr --address "$dir/run/containerd/containerd.sock" --namespace k8s.io containers list --quiet 'labels."io.kubernetes.container.name"==kube-scheduler'
mv "$dir/kube-scheduler.yaml" "$manifests/kube-scheduler.yaml"
patience=60 check "with it, it is back" says "^kube-scheduler-$node +1/1 +Running" system get pods --no-headers

# The apiserver is a pod that crashes.
kill -9 "$(pgrep -f "^/usr/bin/kube-apiserver .*$dir/")"
check "the apiserver comes back" k get nodes
check "its restart shows" says "^kube-apiserver-$node +1/1 +Running +[1-9]" system get pods --no-headers
check "a pod is scheduled and runs" k run web --image=localhost/pause:3.10 --image-pull-policy=Never
check "it runs" says '^web +1/1 +Running' k get pods --no-headers
check "up finds nothing to repair" "$top/deploy/up" --no-install --dir "$dir" --binaries "$binaries" --static-pods
