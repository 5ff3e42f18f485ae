"""A cluster on one machine: PostgreSQL under Patroni, HAProxy, `cpns server` nodes, a gateway and PNEs, all in one folder.

`processes` starts programs, and ends exactly those; `database` is etcd, Patroni and HAProxy; `nodes` are the roles of cpns. Used by
scripts/cluster-up, cluster-down and cluster-demo, and by tests/cluster. docs/operations/cluster.md explains the settings."""
