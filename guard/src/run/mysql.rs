//! What MySQL and MariaDB bring to a guard.

use std::{path::PathBuf, sync::Arc};

use tokio::sync::Semaphore;
use wire::mysql::{auth::Plugin, response::Status};

use super::{
    COSTLY_LOGINS, StartError,
    assembly::{Assembly, Parts},
    control_target, listen, replicas, server_tls, upstream_target, whole,
};
use crate::{
    account::Account,
    config::{AuthPlugin, Config},
    listener::Listener,
    mysql::{
        MySql, MySqlCourier,
        connect::{self},
        login::{self, LoginContext, Welcome},
        session::file::LocalInfile,
        users::{Users, Verifier, VerifierOptions},
    },
    secret::rsa::RsaKey,
    shared::Door,
    upstream::{control::Control, target::Target},
    users::Entry,
};

/// Connects to the database and listens.
pub(super) async fn start(
    config: &Config,
    source: Option<PathBuf>,
) -> Result<Assembly<MySql>, StartError> {
    let target = Arc::new(upstream_target(config)?);
    let account = control_account(config);
    let greeting = connect::probe(&target, Some(&account)).await?;
    let replicas = replicas(config, &target, |target| MySqlCourier {
        target: Target::clone(&target),
        account: control_account(config),
    })?;
    let courier = Arc::new(MySqlCourier { target: control_target(config, &target), account });
    let (control, identity) = Control::open(&courier, config.control.connections).await?;
    let local_infile = local_infile(config);
    let welcome = Welcome {
        connection_id: 0,
        version: Arc::clone(&greeting.version),
        capabilities: login::offer(greeting.capabilities, local_infile.is_offered()),
        charset: greeting.charset,
        status: Status::AUTOCOMMIT.0,
        mariadb: greeting.mariadb,
    };
    let users = users(config, &target)?;
    let rsa = Arc::new(RsaKey::generate().map_err(|_| StartError::Key)?);
    let listeners = listeners(config, &users, &rsa)?;
    let engine = MySql::new(welcome, local_infile);
    let parts = Parts { engine, target, courier, control, identity, listeners, replicas };
    Assembly::new(config, source, parts)
}

fn control_account(config: &Config) -> Account {
    Account::new(config.control.user.as_str(), config.control.password.clone())
}

fn users(config: &Config, target: &Arc<Target>) -> Result<Arc<Users>, StartError> {
    let mut entries = match &config.auth.file {
        Some(path) => crate::users::read_password_file(path)?,
        None => Vec::new(),
    };
    entries.extend(
        config
            .users
            .iter()
            .map(|user| Entry { user: user.name.as_str().into(), secret: user.password.clone() }),
    );
    let verifier = config.auth.database.then(|| {
        let options = VerifierOptions { target: Arc::clone(target), fresh: config.auth.ttl };
        Verifier::new(options)
    });
    Ok(Arc::new(Users::new(entries, verifier)))
}

fn local_infile(config: &Config) -> LocalInfile {
    let named = config.users.iter().filter_map(|user| {
        user.local_infile.map(|is_allowed| (user.name.as_str().into(), is_allowed))
    });
    LocalInfile { others: config.auth.local_infile, named: named.collect() }
}

fn listeners(
    config: &Config,
    users: &Arc<Users>,
    rsa: &Arc<RsaKey>,
) -> Result<Vec<Listener<MySql>>, StartError> {
    let mut listeners = Vec::new();
    for listener in &config.listeners {
        let plugin = match listener.auth_plugin {
            AuthPlugin::CachingSha2Password => Plugin::CachingSha2Password,
            AuthPlugin::MysqlNativePassword => Plugin::NativePassword,
        };
        let login = LoginContext {
            tls: server_tls(listener)?.map(Arc::new),
            users: Arc::clone(users),
            plugin,
            timeout: listener.login_timeout,
            pacing: Arc::new(Semaphore::new(whole(listener.logins_at_once).max(COSTLY_LOGINS))),
            rsa: Arc::clone(rsa),
        };
        listeners.push(Listener {
            socket: listen(listener)?,
            door: Arc::new(Door {
                login,
                write_timeout: listener.write_timeout,
                idle_timeout: listener.idle_timeout,
            }),
            places: Arc::new(Semaphore::new(whole(listener.max_clients))),
        });
    }
    Ok(listeners)
}
