# What nodes and pods use is measured: kubectl top shows it, and an autoscaler acts on it.

cluster_up --metrics-server
check "the API is available" says '^True$' k get apiservice v1beta1.metrics.k8s.io -o 'jsonpath={.status.conditions[?(@.type=="Available")].status}'
patience=90 check "the node's use" says '^[^ ]+ +[0-9]+m +[0-9]+% +[0-9]+Mi +[0-9]+%' k top nodes --no-headers
patience=60 check "the pods' use" says '^kube-system +cluster-dns-[^ ]+ +[0-9]+m +[0-9]+Mi' k top pods -A --no-headers
check "their containers'" says 'dns +[0-9]+m +[0-9]+Mi' k top pods -n kube-system --containers --no-headers
check "by label" counts 1 . k top pods -n kube-system -l k8s-app=kube-dns --no-headers
check "as a table" says '^[^ ]+ +[0-9]+n|m +[0-9]+Ki|Mi +[0-9.]+s' k get nodes.metrics.k8s.io --no-headers
check "a pod that is not there" says 'podmetrics.metrics.k8s.io "nobody" not found' k get pods.metrics.k8s.io nobody
check "who may do nothing sees nothing" says 'cannot list resource|Forbidden|forbidden' k --as nobody top pods

# A Deployment that works hard gets more replicas.
check "the web server is packed" "$top/tests/images/web" localhost/web:1 "$dir/web.tar"
check "the node has the image" ctr --address "$dir/run/containerd/containerd.sock" --namespace k8s.io images import "$dir/web.tar"
check "a busy Deployment" k create -f - <<'YAML'
apiVersion: apps/v1
kind: Deployment
metadata: {name: busy}
spec:
  selector: {matchLabels: {app: busy}}
  template:
    metadata: {labels: {app: busy}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: busy
        image: localhost/web:1
        command: [/bin/busybox, sh, -c, "while :; do :; done"]
        resources:
          requests: {cpu: 50m}
          limits: {cpu: 200m}
YAML
check "an autoscaler" k autoscale deployment busy --cpu 50% --min 1 --max 3
patience=120 check "it sees the load" says '[1-9][0-9]+%/50%' k get hpa busy --no-headers
patience=90 check "it scales up" says '^busy +[0-9]+/3' k get deployment busy --no-headers
check "events say so" says 'New size: 3; reason: cpu resource utilization' k get events --field-selector reason=SuccessfulRescale
