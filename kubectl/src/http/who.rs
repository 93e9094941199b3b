//! Who we are to the server, which may change between two requests.
//!
//! Upstream: `client-go/plugin/pkg/client/auth/exec` (`roundTripper`, `maybeRefreshCreds`).

use super::tls::Tls;
use super::{Client, Why};
use crate::config::{Connection, Credentials, Renewal};
use crate::writing::log_error;
use std::sync::{MutexGuard, PoisonError};
use std::time::SystemTime;

/// What requests carry.
pub(super) struct Who {
    pub(super) authorization: Option<String>,
    pub(super) tls: Option<Tls>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
    expires: Option<SystemTime>,
    /// How often it was told anew.
    pub(super) renewals: usize,
}

impl Who {
    pub(super) fn of(connection: &Connection, secure: bool) -> anyhow::Result<Self> {
        let tls = match secure {
            true => Some(Tls::of(connection)?),
            false => None,
        };
        let (authorization, identity) = (connection.authorization.clone(), connection.identity.clone());
        Ok(Self { authorization, tls, identity, expires: connection.expires, renewals: 0 })
    }
}

impl Client {
    /// Who we are now.
    pub(super) fn who(&self) -> MutexGuard<'_, Who> {
        self.who.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks who we are if what is known is over.
    pub(super) async fn renew_if_over(&self) -> Result<(), Why> {
        let (expires, renewals) = {
            let who = self.who();
            (who.expires, who.renewals)
        };
        match expires.is_some_and(|expires| expires < SystemTime::now()) {
            true => self.renew(renewals).await.map_err(|why| Why::Broken(format!("getting credentials: {why}"))),
            false => Ok(()),
        }
    }

    /// The server does not know whoever sent a request after so many renewals.
    pub(super) async fn refused(&self, renewals: usize) {
        match self.connection.renewal.as_deref() {
            None => {}
            // What the file says is looked at when it is needed.
            Some(Renewal::File(_)) => self.who().expires = Some(SystemTime::UNIX_EPOCH),
            Some(Renewal::Program(_)) => {
                if let Err(why) = self.renew(renewals).await {
                    log_error("exec.go:380", &format!("refreshing credentials: {why}"));
                }
            }
        }
    }

    /// Asks who we are, unless somebody did meanwhile.
    async fn renew(&self, renewals: usize) -> Result<(), String> {
        let Some(renewal) = self.connection.renewal.clone() else { return Ok(()) };
        let _alone = self.renewing.lock().await;
        if self.who().renewals != renewals {
            return Ok(());
        }
        let is_file = matches!(*renewal, Renewal::File(_));
        let asked = tokio::task::spawn_blocking(move || renewal.ask()).await.map_err(|error| error.to_string())?;
        match asked {
            Ok(credentials) => self.become_other(credentials).await,
            // Upstream goes on with the token that it has.
            Err(why) if is_file => {
                log_error("token_source.go:188", &format!("\"Unable to rotate token\" err={:?}", why.to_string()));
                Ok(())
            }
            Err(why) => Err(why.without_context()),
        }
    }

    async fn become_other(&self, credentials: Credentials) -> Result<(), String> {
        let Credentials { authorization, identity, expires } = credentials;
        let other = identity != self.who().identity;
        let tls = match other {
            true => {
                let connection =
                    Connection { identity: identity.clone(), identity_of_files: false, ..self.connection.clone() };
                Some(Tls::of(&connection).map_err(|error| format!("{error:#}"))?)
            }
            false => None,
        };
        {
            let mut who = self.who();
            (who.authorization, who.identity, who.expires) = (authorization, identity, expires);
            who.renewals += 1;
            if let Some(tls) = tls.filter(|_| who.tls.is_some()) {
                who.tls = Some(tls);
            }
        }
        if other {
            // Whoever opened it is not who we are.
            self.idle.lock().await.take();
        }
        Ok(())
    }
}
