# Service CIDRs are ready, and go when no address needs them.

check "the cluster's own is ready" says '^True.*service-cidr-finalizer' field '{.status.conditions[0].status} {.metadata.finalizers}' servicecidr kubernetes
apply <<'END'
apiVersion: networking.k8s.io/v1
kind: ServiceCIDR
metadata: {name: extra}
spec: {cidrs: [10.200.0.0/24]}
---
apiVersion: networking.k8s.io/v1
kind: IPAddress
metadata: {name: 10.200.0.7, labels: {ipaddress.kubernetes.io/ip-family: IPv4, ipaddress.kubernetes.io/managed-by: ipallocator.k8s.io}}
spec: {parentRef: {resource: services, namespace: addresses, name: s}}
END
check "another is ready" says '^True Kubernetes Service CIDR is ready' field '{.status.conditions[0].status} {.status.conditions[0].message}' servicecidr extra
check "delete" k delete servicecidr extra --wait=false
check "it stays for its address" says '^False Terminating' field '{.status.conditions[0].status} {.status.conditions[0].reason}' servicecidr extra
check "the address goes" k delete ipaddress 10.200.0.7
check "and so does the range" gone servicecidr extra
