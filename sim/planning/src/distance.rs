//! What distance costs: commits of etcd, writes of volumes, throughput over the mesh.
