//! `/stats/summary`, `/metrics/resource`, `/metrics/cadvisor` and `/metrics/probes`.
//!
//! Upstream: `pkg/kubelet/server/stats/handler.go`.

use super::{Api, ApiError};
use crate::stats::{Extent, resource};
use component::serve::{Request, Response, router};
use http::StatusCode;
use std::sync::Arc;

/// `only_cpu_and_memory=true` leaves out what takes long.
pub(super) async fn serve(api: Arc<Api>, request: Request) -> Result<Response, ApiError> {
    let extent = match request.query("only_cpu_and_memory") {
        Some("true") => Extent::CpuAndMemory,
        _ => Extent::All,
    };
    Ok(router::json(StatusCode::OK, &api.stats.summary(extent).await?))
}

/// That nothing could be measured is a metric, too.
pub(super) async fn resource_metrics(api: Arc<Api>, _: Request) -> Result<Response, ApiError> {
    let text = match api.stats.summary(Extent::CpuAndMemory).await {
        Ok(summary) => resource::text(&summary),
        Err(error) => {
            tracing::error!(%error, "cannot measure what containers use");
            resource::failed()
        }
    };
    Ok(metrics(text))
}

pub(super) async fn cadvisor_metrics(api: Arc<Api>, _: Request) -> Result<Response, ApiError> {
    Ok(metrics(api.stats.cadvisor().await?))
}

pub(super) async fn probe_metrics(api: Arc<Api>, _: Request) -> Result<Response, ApiError> {
    Ok(metrics(api.probes.metrics()))
}

fn metrics(text: String) -> Response {
    router::full(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text)
}
