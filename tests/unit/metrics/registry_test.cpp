#include "metrics/registry.hpp"

#include <gmock/gmock.h>

#include <thread>

namespace cpns::metrics {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(registry, writes_a_counter_as_the_text_format_has_it) {
  registry r;
  const auto jobs = r.make_counter("cpns_jobs_total", "Jobs so far.");
  jobs.add();
  jobs.add(2);
  EXPECT_EQ(r.text(),
            "# HELP cpns_jobs_total Jobs so far.\n# TYPE cpns_jobs_total counter\ncpns_jobs_total 3\n");
}

TEST(registry, has_a_series_from_the_moment_it_is_made) {
  registry r;
  r.make_counter("cpns_jobs_total", "Jobs so far.", {{"outcome", "ok"}});
  r.make_counter("cpns_jobs_total", "Jobs so far.", {{"outcome", "failed"}}).add();
  EXPECT_THAT(r.text(), HasSubstr("cpns_jobs_total{outcome=\"ok\"} 0\n"));
  EXPECT_THAT(r.text(), HasSubstr("cpns_jobs_total{outcome=\"failed\"} 1\n"));
}

TEST(registry, gives_the_same_series_for_the_same_name_and_labels) {
  registry r;
  r.make_counter("cpns_jobs_total", "Jobs so far.", {{"outcome", "ok"}}).add();
  r.make_counter("cpns_jobs_total", "Jobs so far.", {{"outcome", "ok"}}).add();
  EXPECT_THAT(r.text(), HasSubstr("cpns_jobs_total{outcome=\"ok\"} 2\n"));
}

TEST(registry, puts_a_value_into_each_bucket_that_is_not_smaller) {
  registry r;
  const auto time = r.make_histogram("cpns_time_seconds", "A time.", {0.1, 1});
  time.observe(std::chrono::milliseconds{500});
  time.observe(2.5);
  const auto text = r.text();
  EXPECT_THAT(text, HasSubstr("cpns_time_seconds_bucket{le=\"1\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("cpns_time_seconds_bucket{le=\"+Inf\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("cpns_time_seconds_count 2\n"));
  EXPECT_THAT(text, HasSubstr("cpns_time_seconds_sum 3\n"));
}

TEST(registry, reads_collected_values_at_each_text) {
  registry r;
  int queued = 3;
  r.collect([&queued](sheet& s) { s.gauge("cpns_queued", "Jobs that wait.", queued); });
  EXPECT_THAT(r.text(), HasSubstr("cpns_queued 3\n"));
  queued = 4;
  EXPECT_THAT(r.text(), HasSubstr("cpns_queued 4\n"));
}

TEST(registry, writes_one_family_for_all_series_of_a_name) {
  registry r;
  r.collect([](sheet& s) {
    s.counter("cpns_lines_total", "Lines.", 1, {{"outcome", "written"}});
    s.gauge("cpns_queued", "Jobs that wait.", 3);
  });
  r.collect([](sheet& s) { s.counter("cpns_lines_total", "", 2, {{"outcome", "dropped"}}); });
  const auto text = r.text();
  EXPECT_EQ(text.find("# HELP cpns_lines_total Lines."), text.rfind("# HELP cpns_lines_total"));
  EXPECT_THAT(text, HasSubstr("{outcome=\"written\"} 1\ncpns_lines_total{outcome=\"dropped\"} 2\n"));
}

TEST(registry, escapes_the_values_of_labels) {
  registry r;
  r.collect([](sheet& s) { s.gauge("cpns_queued", "Jobs.", 1, {{"radio", "a\"b\nc\\"}}); });
  EXPECT_THAT(r.text(), HasSubstr(R"({radio="a\"b\nc\\"} 1)"));
}

TEST(handles, count_nothing_without_a_registry) {
  counter{}.add();
  gauge{}.set(1);
  gauge{}.add(1);
  histogram{}.observe(1);
  EXPECT_EQ(registry{}.text(), "");
}

TEST(handles, lose_nothing_when_threads_count_at_once) {
  registry r;
  const auto jobs = r.make_counter("cpns_jobs_total", "Jobs so far.");
  const auto time = r.make_histogram("cpns_time_seconds", "A time.", {1});
  constexpr int each = 20'000;
  const auto work = [&] {
    for (int i = 0; i < each; ++i) {
      jobs.add();
      time.observe(0.5);
      if (i % 1000 == 0) {
        EXPECT_THAT(r.text(), Not(testing::IsEmpty()));
      }
    }
  };
  std::thread other{work};
  work();
  other.join();
  EXPECT_THAT(r.text(), HasSubstr("cpns_jobs_total " + std::to_string(2 * each) + "\n"));
  EXPECT_THAT(r.text(), HasSubstr("cpns_time_seconds_count " + std::to_string(2 * each) + "\n"));
}

}  // namespace
}  // namespace cpns::metrics
