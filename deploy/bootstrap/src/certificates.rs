//! The cluster's keys and certificates. What is there and good is kept.

use crate::layout::{API_IP, API_PORT, Cluster, HOST_IP, Layout, Master, Node, machine_name};
use anyhow::Context;
use pki::kubeconfig::{Credentials, Kubeconfig};
use pki::{Algorithm, Authority, Key, Profile, Usage, Validity, files};
use std::path::Path;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const AUTHORITY_LIFETIME: Duration = Duration::from_secs(DAY.as_secs() * 3650);
const LEAF_LIFETIME: Duration = Duration::from_secs(DAY.as_secs() * 365);

/// The users of a master: file name, user.
const USERS: &[(&str, &str)] =
    &[("controller-manager", "system:kube-controller-manager"), ("scheduler", "system:kube-scheduler")];

/// The authorities: file name, common name.
const AUTHORITIES: [(&str, &str); 3] =
    [("ca", "kubernetes"), ("etcd-ca", "etcd-ca"), ("front-proxy-ca", "front-proxy-ca")];

/// What a cluster cannot be made again from, besides the store's data: the authorities and the key that
/// signs tokens, by the names of their files.
pub const ROOTS: [&str; 8] =
    ["ca.crt", "ca.key", "etcd-ca.crt", "etcd-ca.key", "front-proxy-ca.crt", "front-proxy-ca.key", "sa.key", "sa.pub"];

/// Makes what is missing or about to expire.
pub fn ensure(cluster: &Cluster) -> anyhow::Result<()> {
    let layout = &cluster.layout;
    let [own, etcd, front_proxy] = AUTHORITIES.map(|(name, common_name)| {
        let (certificate, key) = (layout.pki(&format!("{name}.crt")), layout.pki(&format!("{name}.key")));
        Authority::load_or_create(&certificate, &key, common_name, AUTHORITY_LIFETIME)
            .with_context(|| format!("authority {name}"))
    });
    let authorities = Authorities { cluster: own?, etcd: etcd?, front_proxy: front_proxy? };
    service_account_key(layout)?;
    cluster.masters.iter().try_for_each(|master| of_master(master, &authorities))?;
    let machine =
        Identity { layout, authority: &authorities.cluster, server: &format!("https://127.0.0.1:{API_PORT}") };
    machine.kubeconfig("proxy", "system:kube-proxy", None, &layout.config("proxy.conf"))?;
    machine.kubeconfig("admin", "kubernetes-admin", Some("system:masters"), &layout.admin_kubeconfig())?;
    cluster.nodes.iter().try_for_each(|node| of_node(node, &authorities.cluster))
}

struct Authorities {
    cluster: Authority,
    etcd: Authority,
    front_proxy: Authority,
}

/// What a master's processes show, and who they are.
fn of_master(master: &Master, authorities: &Authorities) -> anyhow::Result<()> {
    let Authorities { cluster, etcd, front_proxy } = authorities;
    let (layout, machine) = (&master.layout, machine_name());
    let names = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
        &machine,
        "127.0.0.1",
        // A load balancer stands at this address, if there is one.
        HOST_IP,
        &master.ip,
        API_IP,
    ];
    leaf(layout, cluster, "apiserver", &Profile::server("kube-apiserver", &names, LEAF_LIFETIME))?;
    // A member is a client of its peers, too.
    let mut member = Profile::server("etcd", &["localhost", "127.0.0.1", &master.ip], LEAF_LIFETIME);
    member.usages.push(Usage::Client);
    leaf(layout, etcd, "etcd", &member)?;
    let client = |user: &str| Profile::client(user, None, LEAF_LIFETIME);
    leaf(layout, etcd, "apiserver-etcd-client", &client("kube-apiserver-etcd-client"))?;
    leaf(layout, cluster, "apiserver-kubelet-client", &client("kube-apiserver-kubelet-client"))?;
    leaf(layout, front_proxy, "front-proxy-client", &client("front-proxy-client"))?;
    let identity = Identity { layout, authority: cluster, server: &format!("https://127.0.0.1:{API_PORT}") };
    USERS
        .iter()
        .try_for_each(|(name, user)| identity.kubeconfig(name, user, None, &layout.config(&format!("{name}.conf"))))
}

/// What a node's daemons show, and who they are.
fn of_node(node: &Node, cluster: &Authority) -> anyhow::Result<()> {
    let (layout, user) = (&node.layout, format!("system:node:{}", node.name));
    let serving = Profile::server(&user, &[&node.name, "127.0.0.1", &node.ip], LEAF_LIFETIME);
    leaf(layout, cluster, "kubelet", &serving)?;
    let identity = Identity { layout, authority: cluster, server: &node.server() };
    identity.kubeconfig("kubelet-client", &user, Some("system:nodes"), &layout.config("kubelet.conf"))?;
    identity.kubeconfig("proxy", "system:kube-proxy", None, &layout.config("proxy.conf"))
}

fn leaf(layout: &Layout, authority: &Authority, name: &str, profile: &Profile) -> anyhow::Result<()> {
    let (certificate, key) = (layout.pki(&format!("{name}.crt")), layout.pki(&format!("{name}.key")));
    if key.exists() && is_good(&certificate) {
        return Ok(());
    }
    let fresh = Key::generate(Algorithm::default())?;
    files::write_private(&key, fresh.to_pem().as_bytes())?;
    let issued = authority.issue(profile, &fresh).with_context(|| format!("certificate {name}"))?;
    files::write_public(&certificate, issued.as_bytes())?;
    Ok(())
}

/// A certificate that is there and not about to expire.
fn is_good(certificate: &Path) -> bool {
    Validity::of_file(certificate).is_ok_and(|validity| !validity.needs_renewal(jiff::Timestamp::now()))
}

fn service_account_key(layout: &Layout) -> anyhow::Result<()> {
    let (private, public) = (layout.pki("sa.key"), layout.pki("sa.pub"));
    if !private.exists() {
        let key = Key::generate(Algorithm::Rsa2048)?;
        files::write_private(&private, key.to_pem().as_bytes())?;
    }
    let key = Key::from_pem(&pki::pem::read(&private)?, "sa.key")?;
    files::write_public(&public, key.public_pem().as_bytes())?;
    Ok(())
}

/// Makes kubeconfigs in one folder, for one address of the apiserver.
struct Identity<'a> {
    layout: &'a Layout,
    authority: &'a Authority,
    server: &'a str,
}

impl Identity<'_> {
    fn kubeconfig(&self, name: &str, user: &str, group: Option<&str>, file: &Path) -> anyhow::Result<()> {
        leaf(self.layout, self.authority, name, &Profile::client(user, group, LEAF_LIFETIME))?;
        let read = |ending: &str| -> anyhow::Result<String> {
            Ok(String::from_utf8(pki::pem::read(&self.layout.pki(&format!("{name}.{ending}")))?)?)
        };
        let config = Kubeconfig {
            server: self.server.to_owned(),
            authority: self.authority.certificate_pem().to_owned(),
            user: user.to_owned(),
            credentials: Credentials::Certificate { certificate: read("crt")?, key: read("key")? },
        };
        config.write(file)?;
        Ok(())
    }
}
