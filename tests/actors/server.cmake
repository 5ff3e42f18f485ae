cpns_test(actors_server
  LABELS actors
  SOURCES server_harness.cpp server_test.cpp server_work_test.cpp
  DEPS cpns_server GTest::gtest)
