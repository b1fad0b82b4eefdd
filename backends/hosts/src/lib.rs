//! Machines over ssh: prepared, joined by the mesh, looked at.
