//! The way to the webhooks that convert custom resources.

use apimachinery::Value;
use apiserver_extensions::conversion::WebhookCaller;
use apiserver_webhook::{Client, Config, Means};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Clients kept at most; there is one for each definition that converts by webhook.
const MAX_CLIENTS: usize = 1024;

/// Keeps a client, with its connections, for each `clientConfig`.
pub(super) struct Webhooks {
    means: Means,
    clients: Mutex<HashMap<String, Arc<Client>>>,
}

impl Webhooks {
    pub(super) fn new(means: Means) -> Self {
        Self { means, clients: Mutex::default() }
    }

    fn client(&self, config: &Value) -> Result<Arc<Client>, String> {
        let key = config.to_string();
        let mut clients = self.clients.lock();
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let config = Config::parse(config).map_err(|error| error.to_string())?;
        let client = Arc::new(Client::new(config, None, &self.means).map_err(|error| error.to_string())?);
        if clients.len() >= MAX_CLIENTS {
            clients.clear();
        }
        clients.insert(key, client.clone());
        Ok(client)
    }
}

#[async_trait]
impl WebhookCaller for Webhooks {
    async fn call(&self, client: &Value, body: &Value, timeout: Duration) -> Result<Value, String> {
        let client = self.client(client)?;
        let body = serde_json::to_vec(body).map_err(|error| error.to_string())?;
        let answer = client.post(body.into(), timeout).await.map_err(|error| error.to_string())?;
        serde_json::from_slice(&answer).map_err(|error| error.to_string())
    }
}
