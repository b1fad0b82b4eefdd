//! Clouds, libvirt and static hosts behind the engine's seam: one file per provider.
