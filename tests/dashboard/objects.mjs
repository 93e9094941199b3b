// What the pages show in the tests.

const workload = (kind, name, app, spec = {}, annotations = {}) => ({ apiVersion: "apps/v1", kind, metadata: { name, namespace: "default", labels: { app }, annotations },
  spec: { replicas: 3, selector: { matchLabels: { app } }, template: { metadata: { labels: { app } }, spec: { containers: [{ name: "main", image: `registry.local/${app}:1.2`, ports: [{ containerPort: 80 }],
    resources: { requests: { cpu: "10m" } }, env: [{ name: "MODE", value: "test" }] }] } }, ...spec } });

/** Makes a few of each. */
export async function objects(api) {
  const make = async (path, object) => {
    const { status, body } = await api("POST", path, object);
    if (status !== 201) throw new Error(`${path}: ${body.message}`);
  };
  const apps = "/apis/apps/v1/namespaces/default";
  const core = "/api/v1/namespaces/default";
  for (let status = 0; status !== 200; ) ({ status } = await api("GET", `${core}/serviceaccounts/default`));
  await make(`${apps}/deployments`, workload("Deployment", "web", "web"));
  await make(`${apps}/deployments`, workload("Deployment", "api", "api", { replicas: 2 }));
  await make(`${apps}/deployments`, workload("Deployment", "broken", "broken", { replicas: 1 }));
  await make(`${apps}/daemonsets`, workload("DaemonSet", "agent", "agent", { replicas: undefined }));
  await make(`${core}/pods`, { apiVersion: "v1", kind: "Pod", metadata: { name: "plain", labels: { app: "plain" } }, spec: { containers: [{ name: "main", image: "registry.local/plain:1" }, { name: "side", image: "registry.local/side:1" }] } });
  await make(`${core}/configmaps`, { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "settings" }, data: { colour: "blue", "app.conf": "a = 1\nb = <script>alert(1)</script>\n" } });
  await make(`${core}/secrets`, { apiVersion: "v1", kind: "Secret", metadata: { name: "password" }, stringData: { password: "hunter2" } });
  await make(`${core}/services`, { apiVersion: "v1", kind: "Service", metadata: { name: "web" }, spec: { selector: { app: "web" }, ports: [{ port: 80 }] } });
  const properties = { spec: { type: "object", properties: { size: { type: "integer" }, colour: { type: "string" } } } };
  await make("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", { apiVersion: "apiextensions.k8s.io/v1", kind: "CustomResourceDefinition", metadata: { name: "widgets.example.com" },
    spec: { group: "example.com", scope: "Namespaced", names: { plural: "widgets", singular: "widget", kind: "Widget" }, versions: [{ name: "v1", served: true, storage: true, schema: { openAPIV3Schema: { type: "object", properties } } }] } });
  const widget = { apiVersion: "example.com/v1", kind: "Widget", metadata: { name: "one", namespace: "default" }, spec: { size: 3, colour: "teal" } };
  for (let status = 0; status !== 201; ) ({ status } = await api("POST", "/apis/example.com/v1/namespaces/default/widgets", widget));
}

/** Makes many pods that nobody runs, on a node that is not there. */
export async function pods(api, count) {
  await api("POST", "/api/v1/namespaces", { apiVersion: "v1", kind: "Namespace", metadata: { name: "many" } });
  for (let status = 0; status !== 200; ) ({ status } = await api("GET", "/api/v1/namespaces/many/serviceaccounts/default"));
  let next = 0;
  const worker = async () => {
    for (let n = next++; n < count; n = next++) {
      const spec = { schedulerName: "nobody", containers: [{ name: "main", image: "registry.local/x:1" }] };
      const { status, body } = await api("POST", "/api/v1/namespaces/many/pods", { apiVersion: "v1", kind: "Pod", metadata: { name: `pod-${n}`, labels: { app: "many", part: `${n % 7}` } }, spec });
      if (status !== 201) throw new Error(body.message);
    }
  };
  await Promise.all(Array.from({ length: 16 }, worker));
}
