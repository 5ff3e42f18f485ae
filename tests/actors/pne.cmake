cpns_test(actors_pne
  LABELS actors
  SOURCES pne_fleet_test.cpp
  DEPS cpns_actors)
