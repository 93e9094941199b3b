//! From a query's bytes to an answer's: hickory's messages around the zone's answers.

use crate::zone::{Answer, Cluster, Data, Kind, Zone};
use hickory_proto::ProtoError;
use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{self, SOA, SRV};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use std::net::IpAddr;
use std::str::FromStr;

/// Seconds that answers may be kept.
const TTL: u32 = 30;
/// Seconds that the absence of a name may be kept.
const NEGATIVE_TTL: u32 = 5;
/// What a client without EDNS takes over UDP.
const PLAIN_UDP: usize = 512;
/// What this server sends over UDP at most, as DNS Flag Day 2020 recommends.
const MAX_UDP: usize = 1232;

/// What to do with a query.
#[derive(Debug)]
pub enum Reply {
    /// Send these bytes.
    Send(Vec<u8>),
    /// Ask an upstream server, and send what it says.
    Forward,
    /// Ask an upstream server for the addresses of this name, and add them to the answer.
    Chase(Box<Message>, Name),
    /// Not worth an answer.
    Drop,
}

/// How a query came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Answers are bounded by what the client takes.
    Udp,
    /// Answers are bounded by the length field.
    Tcp,
}

/// Answers a query.
pub fn reply(zone: &Zone, cluster: &impl Cluster, query: &[u8], transport: Transport) -> Reply {
    let Ok(query) = Message::from_vec(query) else { return Reply::Drop };
    if query.metadata.message_type != hickory_proto::op::MessageType::Query {
        return Reply::Drop;
    }
    let mut response = Message::response(query.metadata.id, query.metadata.op_code);
    response.metadata.recursion_desired = query.metadata.recursion_desired;
    response.metadata.recursion_available = true;
    if let Some(edns) = &query.edns {
        let mut ours = hickory_proto::op::Edns::new();
        ours.set_max_payload(MAX_UDP as u16).set_version(0);
        ours.set_dnssec_ok(edns.flags().dnssec_ok);
        response.set_edns(ours);
    }
    let limit = limit(&query, transport);
    let question = match query.queries.as_slice() {
        [question] if query.metadata.op_code == OpCode::Query => question.clone(),
        _ => return refuse(response, ResponseCode::NotImp, limit),
    };
    response.add_query(question.clone());
    if !matches!(question.query_class, DNSClass::IN | DNSClass::ANY) {
        return refuse(response, ResponseCode::NotImp, limit);
    }
    let name = question.name.to_ascii().to_ascii_lowercase();
    let name = name.trim_end_matches('.');
    match zone.answer(cluster, name, kind(question.query_type)) {
        Answer::NotOurs => Reply::Forward,
        Answer::Records(records) => answer(zone, response, &question.name, question.query_type, records, limit),
        Answer::NoData => negative(zone, response, ResponseCode::NoError, limit),
        Answer::NoName => negative(zone, response, ResponseCode::NXDomain, limit),
    }
}

fn answer(
    zone: &Zone,
    mut response: Message,
    name: &Name,
    kind: RecordType,
    records: Vec<Data>,
    limit: usize,
) -> Reply {
    response.metadata.authoritative = true;
    let mut alias = None;
    for data in records {
        if let (Data::Alias(target), false) = (&data, kind == RecordType::CNAME) {
            alias = Name::from_str(&format!("{target}.")).ok();
        }
        add(zone, &mut response, name, data);
    }
    match alias {
        Some(target) if matches!(kind, RecordType::A | RecordType::AAAA) => Reply::Chase(Box::new(response), target),
        _ => finish(response, limit),
    }
}

fn add(zone: &Zone, response: &mut Message, name: &Name, data: Data) {
    let fqdn = |text: &str| Name::from_str(&format!("{text}.")).unwrap_or_else(|_| Name::root());
    let data = match data {
        Data::Address(ip) => address(ip),
        Data::Service { port, target, addresses } => {
            let target = fqdn(&target);
            for ip in addresses {
                response.add_additional(Record::from_rdata(target.clone(), TTL, address(ip)));
            }
            RData::SRV(SRV::new(0, 100, port, target))
        }
        Data::Pointer(target) => RData::PTR(rdata::PTR(fqdn(&target))),
        Data::Alias(target) => RData::CNAME(rdata::CNAME(fqdn(&target))),
        Data::Text(text) => RData::TXT(rdata::TXT::new(vec![text])),
        Data::Server(target) => RData::NS(rdata::NS(fqdn(&target))),
        Data::Authority => authority(zone),
    };
    response.add_answer(Record::from_rdata(name.clone(), TTL, data));
}

fn address(ip: IpAddr) -> RData {
    match ip {
        IpAddr::V4(ip) => RData::A(rdata::A(ip)),
        IpAddr::V6(ip) => RData::AAAA(rdata::AAAA(ip)),
    }
}

fn authority(zone: &Zone) -> RData {
    let name = |text: String| Name::from_str(&text).unwrap_or_else(|_| Name::root());
    let (server, mailbox) = (name(format!("ns.dns.{}.", zone.domain)), name(format!("hostmaster.{}.", zone.domain)));
    RData::SOA(SOA::new(server, mailbox, 1, 7200, 1800, 86400, NEGATIVE_TTL))
}

fn negative(zone: &Zone, mut response: Message, code: ResponseCode, limit: usize) -> Reply {
    response.metadata.authoritative = true;
    response.metadata.response_code = code;
    let name = Name::from_str(&format!("{}.", zone.domain)).unwrap_or_else(|_| Name::root());
    response.add_authority(Record::from_rdata(name, NEGATIVE_TTL, authority(zone)));
    finish(response, limit)
}

fn refuse(mut response: Message, code: ResponseCode, limit: usize) -> Reply {
    response.metadata.response_code = code;
    finish(response, limit)
}

fn limit(query: &Message, transport: Transport) -> usize {
    match (transport, &query.edns) {
        (Transport::Tcp, _) => usize::from(u16::MAX),
        (Transport::Udp, None) => PLAIN_UDP,
        (Transport::Udp, Some(edns)) => usize::from(edns.max_payload()).clamp(PLAIN_UDP, MAX_UDP),
    }
}

fn finish(response: Message, limit: usize) -> Reply {
    encode(&response, limit).map_or(Reply::Drop, Reply::Send)
}

/// Encodes an answer; one that is too long is cut, so that the client asks again over TCP.
pub fn encode(response: &Message, limit: usize) -> Result<Vec<u8>, ProtoError> {
    let bytes = response.to_vec()?;
    if bytes.len() <= limit {
        return Ok(bytes);
    }
    response.truncate().to_vec()
}

fn kind(record: RecordType) -> Kind {
    match record {
        RecordType::A => Kind::A,
        RecordType::AAAA => Kind::Aaaa,
        RecordType::SRV => Kind::Srv,
        RecordType::PTR => Kind::Ptr,
        RecordType::CNAME => Kind::Cname,
        RecordType::TXT => Kind::Txt,
        RecordType::SOA => Kind::Soa,
        RecordType::NS => Kind::Ns,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::{Endpoint, Target};
    use hickory_proto::op::Query;

    /// A cluster whose Service `big` has more endpoints than fit into a datagram.
    struct Big;

    impl Cluster for Big {
        fn has_namespace(&self, _: &str) -> bool {
            true
        }
        fn service(&self, _: &str, name: &str) -> Option<Target> {
            match name {
                "big" => Some(Target::Headless),
                "out" => Some(Target::External("example.org".into())),
                _ => None,
            }
        }
        fn endpoints(&self, _: &str, _: &str) -> Vec<Endpoint> {
            (0..200_u8)
                .map(|i| Endpoint { address: IpAddr::from([10, 0, 0, i]), hostname: String::new(), ports: Vec::new() })
                .collect()
        }
        fn service_at(&self, _: IpAddr) -> Option<(String, String)> {
            None
        }
        fn endpoint_at(&self, _: IpAddr) -> Option<(String, String, String)> {
            None
        }
    }

    fn ask(name: &str, transport: Transport) -> Reply {
        let mut query = Message::query();
        query.add_query(Query::query(Name::from_str(name).expect("a name"), RecordType::A));
        let zone = Zone { domain: "cluster.local".into() };
        reply(&zone, &Big, &query.to_vec().expect("encodes"), transport)
    }

    fn sent(reply: Reply) -> Message {
        match reply {
            Reply::Send(bytes) => Message::from_vec(&bytes).expect("decodes"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn long_answers_are_cut_over_udp_only() {
        let udp = sent(ask("big.ns.svc.cluster.local.", Transport::Udp));
        assert!(udp.metadata.truncation && udp.answers.is_empty());
        let tcp = sent(ask("BIG.ns.svc.cluster.LOCAL.", Transport::Tcp));
        assert!(!tcp.metadata.truncation);
        assert_eq!(tcp.answers.len(), 200);
    }

    #[test]
    fn absent_names_carry_the_authority() {
        let answer = sent(ask("nobody.ns.svc.cluster.local.", Transport::Udp));
        assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain);
        assert_eq!(answer.authorities.len(), 1);
    }

    #[test]
    fn other_names_are_forwarded_and_aliases_chased() {
        assert!(matches!(ask("example.org.", Transport::Udp), Reply::Forward));
        assert!(
            matches!(ask("out.ns.svc.cluster.local.", Transport::Udp), Reply::Chase(_, name) if name.to_ascii() == "example.org.")
        );
    }

    #[test]
    fn nonsense_gets_no_answer() {
        let zone = Zone { domain: "cluster.local".into() };
        for bytes in [&b""[..], b"\0", &[0xff; 40]] {
            assert!(matches!(reply(&zone, &Big, bytes, Transport::Udp), Reply::Drop));
        }
    }
}
