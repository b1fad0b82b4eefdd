//! Runs an agent: `agent INTERFACE [MTU [WORKERS]]`. Configure it with `wg`, and the interface with
//! `ip`. Knows nothing else.

use quorate_mesh::agent::{Settings, run};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let interface = args.next().ok_or("agent INTERFACE [MTU [WORKERS]]")?;
    let mut settings = Settings::new(interface);
    if let Some(mtu) = args.next() {
        settings.mtu = mtu.parse()?;
    }
    if let Some(workers) = args.next() {
        settings.workers = Some(workers.parse()?);
    }
    Ok(run(&settings)?)
}
