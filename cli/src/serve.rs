//! `quorate sim serve`: a simulated cloud for clients of the real one.

use crate::args::{Serve, Served};
use crate::diagnostics;
use crate::exit::Exit;
use crate::input;
use crate::terminal;
use quorate_serve::{Handle, Settings, Vendor, serve};
use std::io;
use tokio::net::TcpListener;
use tokio::runtime::Builder;

/// Serves until somebody says stop.
pub(crate) fn run(args: &Serve) -> Exit {
    let faults = match args.faults.as_deref().map(input::faults) {
        None => Vec::new(),
        Some(Ok(faults)) => faults,
        Some(Err(checked)) => {
            let coloured = terminal::stderr_coloured();
            terminal::eprint(&diagnostics::rendered(&[checked], coloured));
            return Exit::Failed;
        }
    };
    let vendor = match args.provider {
        Served::Hetzner => Vendor::Hetzner,
    };
    let settings = Settings {
        token: args.token.clone(),
        speed: args.speed,
        seed: args.seed,
        faults,
        ..Settings::new(vendor)
    };
    let served = Builder::new_current_thread().enable_all().build();
    match served.and_then(|runtime| runtime.block_on(until_stopped(args, settings))) {
        Ok(()) => Exit::Fine,
        Err(error) => {
            let fix = "give a free address on loopback, as in --listen 127.0.0.1:0";
            terminal::eprint(&format!("error: {}: {error}; {fix}\n", args.listen));
            Exit::Failed
        }
    }
}

async fn until_stopped(args: &Serve, settings: Settings) -> io::Result<()> {
    let listener = TcpListener::bind(args.listen).await?;
    let mut handle = serve(listener, settings).await?;
    terminal::print(&how_to_use(args, &handle));
    tokio::select! {
        served = handle.wait() => return served,
        stopped = stop() => stopped?,
    }
    let (asked, left) = (handle.asked().len(), handle.things().len());
    terminal::print(&format!(
        "stopped after {asked} requests; {left} things were left\n"
    ));
    handle.stop().await
}

/// Ctrl-C, or what a service manager sends.
async fn stop() -> io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

fn how_to_use(args: &Serve, handle: &Handle) -> String {
    let token = args.token.as_deref().unwrap_or("any");
    let address = handle.address();
    let variables = match args.provider {
        Served::Hetzner => {
            format!(
                "  export HCLOUD_ENDPOINT={} HCLOUD_TOKEN={token}\n",
                handle.endpoint()
            )
        }
    };
    format!(
        "listening on {address}\n{variables}  curl -X POST --data-binary @faults.yaml \
         http://{address}/_quorate/faults\nCtrl-C ends it\n"
    )
}
