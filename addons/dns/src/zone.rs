//! What the cluster domain says: a pure function of names to records.
//!
//! The schema is Kubernetes' DNS specification 1.1.0; where it is silent, what CoreDNS'
//! `kubernetes` plug-in answers.

mod reverse;

pub use reverse::address as reverse_address;

use std::net::IpAddr;

/// The kinds of record that the cluster domain has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// IPv4 address.
    A,
    /// IPv6 address.
    Aaaa,
    /// Name and port.
    Srv,
    /// Name of an address.
    Ptr,
    /// Alias.
    Cname,
    /// Text.
    Txt,
    /// Start of authority.
    Soa,
    /// Name server.
    Ns,
    /// Anything else: the name may exist, such records do not.
    Other,
}

/// One record of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// `A` or `AAAA`.
    Address(IpAddr),
    /// `SRV`: target name and port, with its addresses for the additional section.
    Service {
        /// Port.
        port: u16,
        /// Fully qualified target, without the final dot.
        target: String,
        /// The target's addresses.
        addresses: Vec<IpAddr>,
    },
    /// `PTR`.
    Pointer(String),
    /// `CNAME`.
    Alias(String),
    /// `TXT`.
    Text(String),
    /// `NS`.
    Server(String),
    /// The zone's `SOA`.
    Authority,
}

/// The answer to a question about the cluster domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// These records.
    Records(Vec<Data>),
    /// The name exists, without records of this kind.
    NoData,
    /// There is no such name.
    NoName,
    /// The name is none of ours.
    NotOurs,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Name; may be empty.
    pub name: String,
    /// `tcp`, `udp`, `sctp`.
    pub protocol: String,
    /// Number.
    pub number: u16,
}

/// An endpoint of a headless Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Address.
    pub address: IpAddr,
    /// Host name; empty if it has none, then a name is made of the address.
    pub hostname: String,
    /// Ports as its slice has them.
    pub ports: Vec<Port>,
}

/// What a Service's name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Virtual addresses.
    Virtual {
        /// Addresses.
        addresses: Vec<IpAddr>,
        /// Ports.
        ports: Vec<Port>,
    },
    /// The endpoints themselves.
    Headless,
    /// A name elsewhere.
    External(String),
}

/// What the zone asks of the cluster; the index implements it.
pub trait Cluster {
    /// Whether the namespace exists.
    fn has_namespace(&self, namespace: &str) -> bool;
    /// What a Service's name stands for.
    fn service(&self, namespace: &str, name: &str) -> Option<Target>;
    /// Endpoints that a Service publishes.
    fn endpoints(&self, namespace: &str, name: &str) -> Vec<Endpoint>;
    /// The Service (namespace, name) that has this virtual address.
    fn service_at(&self, address: IpAddr) -> Option<(String, String)>;
    /// The headless endpoint (namespace, service, host label) at this address.
    fn endpoint_at(&self, address: IpAddr) -> Option<(String, String, String)>;
}

/// The cluster domain.
#[derive(Clone, Debug)]
pub struct Zone {
    /// `cluster.local`, lower case, without the final dot.
    pub domain: String,
}

impl Zone {
    /// Answers a question. `name` is lower case, without the final dot.
    pub fn answer(&self, cluster: &impl Cluster, name: &str, kind: Kind) -> Answer {
        if let Some(address) = reverse_address(name) {
            return self.pointer(cluster, address, kind);
        }
        let Some(labels) = self.labels(name) else { return Answer::NotOurs };
        match labels.as_slice() {
            [] => self.apex(kind),
            ["dns-version"] => of_kind(kind, vec![Data::Text("1.1.0".into())]),
            ["svc" | "pod"] => Answer::NoData,
            [namespace, "svc"] | [namespace, "pod"] => exists(cluster.has_namespace(namespace)),
            [address, namespace, "pod"] => self.pod(cluster, address, namespace, kind),
            [service, namespace, "svc"] => self.service(cluster, namespace, service, kind),
            [host, service, namespace, "svc"] => self.host(cluster, namespace, service, host, kind),
            [port, protocol, service, namespace, "svc"] => self.port(cluster, namespace, service, port, protocol, kind),
            _ => Answer::NoName,
        }
    }

    /// The labels in front of the domain; `None` if the name is elsewhere.
    fn labels<'a>(&self, name: &'a str) -> Option<Vec<&'a str>> {
        let front = name.strip_suffix(self.domain.as_str())?;
        match front.strip_suffix('.') {
            Some(front) => Some(front.split('.').collect()),
            None if front.is_empty() => Some(Vec::new()),
            None => None,
        }
    }

    fn apex(&self, kind: Kind) -> Answer {
        match kind {
            Kind::Soa => Answer::Records(vec![Data::Authority]),
            Kind::Ns => Answer::Records(vec![Data::Server(format!("ns.dns.{}", self.domain))]),
            _ => Answer::NoData,
        }
    }

    fn service(&self, cluster: &impl Cluster, namespace: &str, service: &str, kind: Kind) -> Answer {
        match cluster.service(namespace, service) {
            None => Answer::NoName,
            Some(Target::External(name)) => Answer::Records(vec![Data::Alias(name)]),
            Some(Target::Virtual { addresses, ports }) => match kind {
                Kind::Srv => self.virtual_ports(namespace, service, &addresses, ports.iter()),
                _ => of_kind(kind, addresses.into_iter().map(Data::Address).collect()),
            },
            Some(Target::Headless) => {
                let endpoints = cluster.endpoints(namespace, service);
                match (endpoints.is_empty(), kind) {
                    // As CoreDNS has it: a headless Service without endpoints has no name.
                    (true, _) => Answer::NoName,
                    (false, Kind::Srv) => self.endpoint_ports(namespace, service, &endpoints, |_| true),
                    _ => of_kind(kind, endpoints.into_iter().map(|e| Data::Address(e.address)).collect()),
                }
            }
        }
    }

    fn host(&self, cluster: &impl Cluster, namespace: &str, service: &str, host: &str, kind: Kind) -> Answer {
        let endpoints = cluster.endpoints(namespace, service).into_iter().filter(|e| e.label() == host);
        let found: Vec<Endpoint> = endpoints.collect();
        match (found.is_empty(), kind) {
            (true, _) => Answer::NoName,
            (false, Kind::Srv) => self.endpoint_ports(namespace, service, &found, |_| true),
            _ => of_kind(kind, found.into_iter().map(|e| Data::Address(e.address)).collect()),
        }
    }

    fn port(
        &self,
        cluster: &impl Cluster,
        namespace: &str,
        service: &str,
        port: &str,
        protocol: &str,
        kind: Kind,
    ) -> Answer {
        let (Some(port), Some(protocol)) = (port.strip_prefix('_'), protocol.strip_prefix('_')) else {
            return Answer::NoName;
        };
        let wanted = |p: &Port| p.name == port && p.protocol == protocol;
        let answer = match cluster.service(namespace, service) {
            Some(Target::Virtual { addresses, ports }) => {
                self.virtual_ports(namespace, service, &addresses, ports.iter().filter(|p| wanted(p)))
            }
            Some(Target::Headless) => {
                self.endpoint_ports(namespace, service, &cluster.endpoints(namespace, service), wanted)
            }
            _ => Answer::NoName,
        };
        match (answer, kind) {
            (Answer::Records(records), Kind::Srv) if !records.is_empty() => Answer::Records(records),
            (Answer::Records(records), _) if !records.is_empty() => Answer::NoData,
            _ => Answer::NoName,
        }
    }

    fn virtual_ports<'a>(
        &self,
        namespace: &str,
        service: &str,
        addresses: &[IpAddr],
        ports: impl Iterator<Item = &'a Port>,
    ) -> Answer {
        let target = format!("{service}.{namespace}.svc.{}", self.domain);
        let record = |p: &Port| Data::Service { port: p.number, target: target.clone(), addresses: addresses.to_vec() };
        Answer::Records(ports.map(record).collect())
    }

    fn endpoint_ports(
        &self,
        namespace: &str,
        service: &str,
        endpoints: &[Endpoint],
        wanted: impl Fn(&Port) -> bool,
    ) -> Answer {
        let records = endpoints.iter().flat_map(|endpoint| {
            let target = format!("{}.{service}.{namespace}.svc.{}", endpoint.label(), self.domain);
            let ports = endpoint.ports.iter().filter(|p| wanted(p));
            ports.map(move |p| Data::Service {
                port: p.number,
                target: target.clone(),
                addresses: vec![endpoint.address],
            })
        });
        Answer::Records(records.collect())
    }

    /// `10-244-0-5.namespace.pod`: the address that the name itself says.
    fn pod(&self, cluster: &impl Cluster, address: &str, namespace: &str, kind: Kind) -> Answer {
        let dots = address.replace('-', ".").parse::<std::net::Ipv4Addr>().map(IpAddr::V4);
        let colons = || address.replace('-', ":").parse::<std::net::Ipv6Addr>().map(IpAddr::V6);
        match dots.or_else(|_| colons()) {
            Ok(address) if cluster.has_namespace(namespace) => of_kind(kind, vec![Data::Address(address)]),
            _ => Answer::NoName,
        }
    }

    fn pointer(&self, cluster: &impl Cluster, address: IpAddr, kind: Kind) -> Answer {
        let service =
            || cluster.service_at(address).map(|(namespace, name)| format!("{name}.{namespace}.svc.{}", self.domain));
        let endpoint = || {
            let (namespace, service, host) = cluster.endpoint_at(address)?;
            Some(format!("{host}.{service}.{namespace}.svc.{}", self.domain))
        };
        match (service().or_else(endpoint), kind) {
            (Some(name), Kind::Ptr) => Answer::Records(vec![Data::Pointer(name)]),
            (Some(_), _) => Answer::NoData,
            // Addresses outside the cluster have names elsewhere.
            (None, _) => Answer::NotOurs,
        }
    }
}

impl Endpoint {
    /// The label that names the endpoint: its host name, or its address with dashes.
    pub fn label(&self) -> String {
        match self.hostname.is_empty() {
            true => self.address.to_string().replace(['.', ':'], "-"),
            false => self.hostname.clone(),
        }
    }
}

fn exists(yes: bool) -> Answer {
    if yes { Answer::NoData } else { Answer::NoName }
}

/// The records that a question of this kind wants.
fn of_kind(kind: Kind, records: Vec<Data>) -> Answer {
    let wanted = |data: &Data| match (data, kind) {
        (Data::Address(ip), Kind::A) => ip.is_ipv4(),
        (Data::Address(ip), Kind::Aaaa) => ip.is_ipv6(),
        (Data::Text(_), Kind::Txt) => true,
        _ => false,
    };
    let records: Vec<Data> = records.into_iter().filter(wanted).collect();
    if records.is_empty() { Answer::NoData } else { Answer::Records(records) }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sample;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn port(name: &str, number: u16) -> Port {
        Port { name: name.into(), protocol: "tcp".into(), number }
    }

    impl Cluster for Sample {
        fn has_namespace(&self, namespace: &str) -> bool {
            namespace == "ns"
        }

        fn service(&self, namespace: &str, name: &str) -> Option<Target> {
            match (namespace, name) {
                ("ns", "web") => {
                    Some(Target::Virtual { addresses: vec![ip("10.96.0.5")], ports: vec![port("http", 80)] })
                }
                ("ns", "db") | ("ns", "empty") => Some(Target::Headless),
                ("ns", "out") => Some(Target::External("example.org".into())),
                _ => None,
            }
        }

        fn endpoints(&self, _: &str, name: &str) -> Vec<Endpoint> {
            match name {
                "db" => vec![
                    Endpoint { address: ip("10.244.0.2"), hostname: "db-0".into(), ports: vec![port("sql", 5432)] },
                    Endpoint { address: ip("10.244.0.3"), hostname: String::new(), ports: vec![port("sql", 5432)] },
                ],
                _ => Vec::new(),
            }
        }

        fn service_at(&self, address: IpAddr) -> Option<(String, String)> {
            (address == ip("10.96.0.5")).then(|| ("ns".into(), "web".into()))
        }

        fn endpoint_at(&self, address: IpAddr) -> Option<(String, String, String)> {
            (address == ip("10.244.0.2")).then(|| ("ns".into(), "db".into(), "db-0".into()))
        }
    }

    fn ask(name: &str, kind: Kind) -> Answer {
        Zone { domain: "cluster.local".into() }.answer(&Sample, name, kind)
    }

    fn addresses(list: &[&str]) -> Answer {
        Answer::Records(list.iter().map(|a| Data::Address(ip(a))).collect())
    }

    #[test]
    fn names() {
        let alias = Answer::Records(vec![Data::Alias("example.org".into())]);
        for (name, kind, want) in [
            ("web.ns.svc.cluster.local", Kind::A, addresses(&["10.96.0.5"])),
            ("web.ns.svc.cluster.local", Kind::Aaaa, Answer::NoData),
            ("nobody.ns.svc.cluster.local", Kind::A, Answer::NoName),
            ("web.other.svc.cluster.local", Kind::A, Answer::NoName),
            ("ns.svc.cluster.local", Kind::A, Answer::NoData),
            ("other.svc.cluster.local", Kind::A, Answer::NoName),
            ("db.ns.svc.cluster.local", Kind::A, addresses(&["10.244.0.2", "10.244.0.3"])),
            ("empty.ns.svc.cluster.local", Kind::A, Answer::NoName),
            ("db-0.db.ns.svc.cluster.local", Kind::A, addresses(&["10.244.0.2"])),
            ("10-244-0-3.db.ns.svc.cluster.local", Kind::A, addresses(&["10.244.0.3"])),
            ("db-1.db.ns.svc.cluster.local", Kind::A, Answer::NoName),
            ("out.ns.svc.cluster.local", Kind::A, alias.clone()),
            ("out.ns.svc.cluster.local", Kind::Cname, alias),
            ("10-1-2-3.ns.pod.cluster.local", Kind::A, addresses(&["10.1.2.3"])),
            ("nonsense.ns.pod.cluster.local", Kind::A, Answer::NoName),
            ("dns-version.cluster.local", Kind::Txt, Answer::Records(vec![Data::Text("1.1.0".into())])),
            ("cluster.local", Kind::Soa, Answer::Records(vec![Data::Authority])),
            ("example.org", Kind::A, Answer::NotOurs),
            ("notcluster.local", Kind::A, Answer::NotOurs),
        ] {
            assert_eq!(ask(name, kind), want, "{name} {kind:?}");
        }
    }

    #[test]
    fn services() {
        let record = |port, target: &str, address: &str| Data::Service {
            port,
            target: target.into(),
            addresses: vec![ip(address)],
        };
        let web = Answer::Records(vec![record(80, "web.ns.svc.cluster.local", "10.96.0.5")]);
        assert_eq!(ask("_http._tcp.web.ns.svc.cluster.local", Kind::Srv), web);
        assert_eq!(ask("web.ns.svc.cluster.local", Kind::Srv), web);
        assert_eq!(ask("_http._udp.web.ns.svc.cluster.local", Kind::Srv), Answer::NoName);
        let db = Answer::Records(vec![
            record(5432, "db-0.db.ns.svc.cluster.local", "10.244.0.2"),
            record(5432, "10-244-0-3.db.ns.svc.cluster.local", "10.244.0.3"),
        ]);
        assert_eq!(ask("_sql._tcp.db.ns.svc.cluster.local", Kind::Srv), db);
    }

    #[test]
    fn pointers() {
        let name = |text: &str| Answer::Records(vec![Data::Pointer(text.into())]);
        assert_eq!(ask("5.0.96.10.in-addr.arpa", Kind::Ptr), name("web.ns.svc.cluster.local"));
        assert_eq!(ask("2.0.244.10.in-addr.arpa", Kind::Ptr), name("db-0.db.ns.svc.cluster.local"));
        assert_eq!(ask("1.1.1.1.in-addr.arpa", Kind::Ptr), Answer::NotOurs);
    }
}
