# A claim waits for its pod; the scheduler takes the pod to the volume's node, and what is written there outlives the pod.

# shellcheck source=../spread.sh
. "$here/spread.sh"
nodes_up
check "the web server is packed" "$top/tests/images/web" localhost/web:1 "$dir/web.tar"
for node in node-1 node-2; do
    check "$node has the image" node_ctr "$node" images import "$dir/web.tar"
done
check "create" k create -f "$here/volumes.yaml"
check "the pod runs where its volume is" says '1/1 +Running .* node-2' k get pod user -o wide --no-headers
check "the claim is bound" says '^data +Bound +on-node-2' k get pvc data --no-headers
check "a claim that is too large has no volume" says "2 node\(s\) didn't find available persistent volumes to bind" k get events --field-selector involvedObject.name=hungry,reason=FailedScheduling
check "a claim that is not there is named" says 'persistentvolumeclaim "nowhere" not found' k get events --field-selector involvedObject.name=lost,reason=FailedScheduling
check "the pod writes" k exec user -- /bin/busybox sh -c 'echo kept > /data/e2e-volumes'
check "the pod goes" k delete pod user
check "and comes back to read only" k create -f - <<'YAML'
apiVersion: v1
kind: Pod
metadata: {name: user}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: c
    image: localhost/web:1
    volumeMounts: [{name: data, mountPath: /data}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: data, readOnly: true}}]
YAML
check "it runs there again" says '1/1 +Running .* node-2' k get pod user -o wide --no-headers
check "it reads what was written" says kept k exec user -- /bin/busybox cat /data/e2e-volumes
check "and cannot write" says 'Read-only file system' k exec user -- /bin/busybox sh -c 'echo x > /data/e2e-volumes'
check "a pod shows an image" says '1/1 +Running' k get pod viewer --no-headers
check "its files are there" k exec viewer -- /image/bin/busybox true
check "and so is a part of it" k exec viewer -- /part/busybox true
check "nobody can write to it" says 'Read-only file system' k exec viewer -- /bin/busybox sh -c 'echo x > /image/x'
viewer=$(k get pod viewer -o 'jsonpath={.metadata.uid}')
check "the runtime keeps it" says "^$viewer/image/" node_ctr node-1 snapshots list
check "the image's pod goes" k delete pod viewer
check "and the runtime keeps nothing for it" lacks "$viewer" node_ctr node-1 snapshots list

# A storage driver on node-1, whose volumes are folders. It registers by its socket, as every driver does.
in_node() { nsenter --target "$(pgrep -P "$(pid "$1")")" --mount --net -- "${@:2}"; }
driver=dirs.e2e.example
kubelet=$dir/nodes/node-1/kubelet
# It reads its mounts in /proc, which knows the processes of the node only.
nsenter --target "$(pgrep -P "$(pid node-1)")" --mount --net --pid -- "$binaries/fake-csi-driver" $driver node-1 $kubelet/plugins/$driver/csi.sock \
    $kubelet/plugins_registry/$driver-reg.sock $kubelet/$driver &
loads+=($!)
process=$!
check "the node tells of its driver" says $driver k get csinode node-1 -o jsonpath='{.spec.drivers[*].name}'
check "and where it is" says 'node-1' k get nodes -l topology.$driver/node=node-1 --no-headers
check "create a pod with a claim of the driver's" k create -f "$here/csi.yaml"
check "it runs where the driver is" says '1/1 +Running .* node-1' k get pod storing -o wide --no-headers
check "it writes to the volume" k exec storing -- /bin/busybox sh -c 'echo driven > /data/file && echo part > /part/file'
check "to its own as well" k exec storing -- /bin/busybox sh -c 'echo own > /own/file'
check "the files are the group's" says '4711' k exec storing -- /bin/busybox stat -c %g /data
check "what is written lies in the driver's folder" says driven in_node node-1 cat $kubelet/$driver/stored/file
check "the part of it, too" says part in_node node-1 cat $kubelet/$driver/stored/part/file
check "the pod goes" k delete pod storing
unstaged() { [ -z "$(in_node node-1 find $kubelet/plugins/kubernetes.io/csi -name vol_data.json)" ]; }
check "and the volume is taken from the node" unstaged
check "the data stays" says driven in_node node-1 cat $kubelet/$driver/stored/file
kill "$(pgrep -P "$process")"
check "the node tells of the driver no more" quiet k get csinode node-1 -o jsonpath='{.spec.drivers[*].name}'
