//! gRPC on Unix sockets.

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::transport::{Channel, Endpoint, Uri};

const CONNECT: Duration = Duration::from_secs(10);

/// More connections than a node has plugins and agents; others wait.
const MOST: usize = 256;

/// Accepts for ever. Connections end with the future that holds them.
pub async fn serve<S>(listener: UnixListener, service: S)
where
    S: Service<http::Request<Incoming>, Response = http::Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MOST => {
                let Ok((stream, _)) = accepted else { return };
                let service = service.clone();
                let answer = service_fn(move |request| service.clone().call(request));
                let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                connections.spawn(builder.serve_connection(TokioIo::new(stream), answer));
            }
        }
    }
}

/// A connection to a plugin's socket, without another one when it is lost: a plugin that comes
/// back registers again.
pub async fn channel(socket: &Path) -> Result<Channel, tonic::transport::Error> {
    let path = socket.to_owned();
    // The name is not looked up: the connection goes to the socket.
    let endpoint = Endpoint::from_static("http://plugin").connect_timeout(CONNECT);
    let connect = tower::service_fn(move |_: Uri| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    endpoint.connect_with_connector(connect).await
}
