//! The gRPC health check (`grpc.health.v1`).

use super::check::Outcome;
use std::time::Duration;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status};

const SERVING: i32 = 1;

#[derive(Clone, PartialEq, prost::Message)]
struct HealthRequest {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct HealthAnswer {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// Asks once.
pub async fn check(host: &str, port: u16, service: &str, limit: Duration) -> Outcome {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    match tokio::time::timeout(limit, ask(format!("http://{host}:{port}"), service)).await {
        Err(_) => Outcome::Failure(format!(
            "timeout: failed to connect service \"{host}:{port}\" within {}s",
            limit.as_secs()
        )),
        Ok(Ok(SERVING)) => Outcome::Success,
        Ok(Ok(status)) => Outcome::Failure(format!("service unhealthy (responded with {:?})", name(status))),
        Ok(Err(e)) if e.code() == Code::Unimplemented => Outcome::Failure(
            "error: this server does not implement the grpc health protocol (grpc.health.v1.Health)".into(),
        ),
        Ok(Err(e)) => Outcome::Failure(format!("error: health rpc probe failed: {e}")),
    }
}

async fn ask(url: String, service: &str) -> Result<i32, Status> {
    let unavailable = |e: tonic::transport::Error| Status::unavailable(e.to_string());
    let channel = Endpoint::from_shared(url).map_err(unavailable)?.connect().await.map_err(unavailable)?;
    let mut client = Grpc::new(channel);
    client.ready().await.map_err(unavailable)?;
    let codec = tonic_prost::ProstCodec::<HealthRequest, HealthAnswer>::default();
    let path = PathAndQuery::from_static("/grpc.health.v1.Health/Check");
    let request = Request::new(HealthRequest { service: service.to_owned() });
    Ok(client.unary(request, path, codec).await?.into_inner().status)
}

fn name(status: i32) -> &'static str {
    match status {
        2 => "NOT_SERVING",
        3 => "SERVICE_UNKNOWN",
        _ => "UNKNOWN",
    }
}
