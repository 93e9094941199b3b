//! Requests that another API server answers: forwarded with the identity of who asks.
//!
//! Upstream: `kube-aggregator/pkg/apiserver/handler_proxy.go`.

use crate::body::Body;
use crate::chain::{Exchange, Incoming};
use crate::connect::{aim, forward};
use crate::response;
use apimachinery::status::Status;
use apiserver_aggregator::{Route, identity};
use http::{Request, Response, StatusCode};

/// Forwards a request along its route.
pub async fn serve<B: Incoming>(exchange: &Exchange<'_>, route: &Route, body: B) -> Result<Response<Body>, Status> {
    if !route.is_available() {
        return Ok(unavailable("service unavailable"));
    }
    let aggregator = &exchange.server.aggregator;
    let Ok(backends) = aggregator.backends(route) else { return Ok(unavailable("service unavailable")) };
    let mut failed = String::new();
    for backend in &backends {
        match aggregator.connect(route, backend).await {
            Ok(io) => {
                let request = request(exchange, &backend.to_string(), body)?;
                return Ok(match forward(exchange, request, io).await {
                    Ok(answer) => checked(answer, aggregator.reject_redirects),
                    Err(error) => unavailable(&format!("error trying to reach service: {error}")),
                });
            }
            // Nothing was sent yet, so another server may be tried.
            Err(error) => failed = error.to_string(),
        }
    }
    Ok(unavailable(&format!("error trying to reach service: {failed}")))
}

/// The client's request as the other server gets it.
fn request<B>(exchange: &Exchange<'_>, host: &str, body: B) -> Result<Request<B>, Status> {
    let uri = &exchange.parts.uri;
    let path = uri.path_and_query().map_or(uri.path(), |p| p.as_str());
    let mut request = aim(exchange, path, host, body)?;
    identity::set(request.headers_mut(), &exchange.user);
    request.headers_mut().insert(response::AUDIT_ID, exchange.audit_id.clone());
    Ok(request)
}

/// Redirects could send clients, with their credentials, anywhere.
fn checked(answer: Response<Body>, reject_redirects: bool) -> Response<Body> {
    if reject_redirects && answer.status().is_redirection() && answer.status() != StatusCode::NOT_MODIFIED {
        let why = "the backend attempted to redirect this request, which is not permitted\n";
        return response::text(StatusCode::BAD_GATEWAY, why);
    }
    answer
}

fn unavailable(why: &str) -> Response<Body> {
    response::text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n"))
}
