//! Spreads connections over addresses, as a Service does over pods: in turn, and to another one where nobody listens.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

/// Listens on loopback until it is dropped.
pub(crate) struct Balancer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Balancer {
    pub(crate) async fn start(targets: Vec<SocketAddr>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("listen on loopback")?;
        let address = listener.local_addr().context("read the balancer's address")?;
        Ok(Self { address, task: tokio::spawn(spread(listener, targets)) })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn spread(listener: TcpListener, mut targets: Vec<SocketAddr>) {
    // They end with this task.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                targets.rotate_left(1);
                connections.spawn(forward(stream, targets.clone()));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Ends when either side does; with nobody to go to, at once.
async fn forward(mut from: TcpStream, targets: Vec<SocketAddr>) {
    for target in targets {
        if let Ok(mut to) = TcpStream::connect(target).await {
            let _ = copy_bidirectional(&mut from, &mut to).await;
            return;
        }
    }
}
