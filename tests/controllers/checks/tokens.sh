# Tokens of service accounts in Secrets, and bootstrap tokens.

apply <<'END'
apiVersion: v1
kind: ServiceAccount
metadata: {name: bot}
secrets: [{name: bot}, {name: other}]
---
apiVersion: v1
kind: Secret
metadata: {name: bot, annotations: {kubernetes.io/service-account.name: bot}}
type: kubernetes.io/service-account-token
END
token() { k get secret bot -o 'jsonpath={.data.token}' | base64 -d; }
known() { says 'system:serviceaccount:tokens:bot"' whoami -H "Authorization: Bearer $(token)"; }
check "the Secret gets a token" known
check "and the namespace" says '^tokens' eval "field '{.data.namespace}' secret bot | base64 -d"
check "and the authority" says 'BEGIN CERTIFICATE' eval "field '{.data.ca\.crt}' secret bot | base64 -d"
check "delete the Secret" k delete secret bot
check "its account forgets it" says '^other$' field '{.secrets[*].name}' serviceaccount bot
apply <<'END'
apiVersion: v1
kind: Secret
metadata: {name: bot, annotations: {kubernetes.io/service-account.name: bot}}
type: kubernetes.io/service-account-token
END
check "a new one" known
check "delete the account" k delete serviceaccount bot
check "its token goes" gone secret bot

k create configmap cluster-info --namespace kube-public --from-literal kubeconfig=hello >"$dir/check.out" 2>&1
bootstrap() {
    k create secret generic bootstrap-token-abcdef --namespace kube-system --type bootstrap.kubernetes.io/token \
        --from-literal token-id=abcdef --from-literal token-secret=0123456789abcdef --from-literal usage-bootstrap-signing=true \
        --from-literal "expiration=$(date -u -d '+8 seconds' +%Y-%m-%dT%H:%M:%SZ)"
}
check "a bootstrap token" bootstrap
info() { k get configmap cluster-info --namespace kube-public -o 'jsonpath={.data}'; }
check "signs the cluster's info" says '"jws-kubeconfig-abcdef":"eyJhbGciOiJIUzI1NiIsImtpZCI6ImFiY2RlZiJ9\.\.' info
check "goes when it is over" gone secret bootstrap-token-abcdef --namespace kube-system
unsigned() { ! says jws info; }
check "and so does its signature" unsigned
