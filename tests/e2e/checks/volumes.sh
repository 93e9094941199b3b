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
