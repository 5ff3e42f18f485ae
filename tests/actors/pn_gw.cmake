cpns_test(actors_pn_gw
  LABELS actors
  SOURCES pn_gw_air.cpp pn_gw_harness.cpp pn_gw_bounds_test.cpp pn_gw_contact_test.cpp pn_gw_policy_test.cpp pn_gw_trouble_test.cpp pn_gw_link_test.cpp
          server_harness.cpp
  DEPS cpns_actors cpns_server)
cpns_test(actors_pn_gw_strangers
  LABELS actors
  SOURCES pn_gw_air.cpp pn_gw_harness.cpp pn_gw_strangers_test.cpp server_harness.cpp
  DEPS cpns_actors cpns_server
  TIMEOUT 300)
