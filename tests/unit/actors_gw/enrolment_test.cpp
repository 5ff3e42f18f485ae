// From a password file to ClientKey.
#include "actors/pn_gw/enrolment.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "crypto/scram.hpp"

namespace cpns::actors {
namespace {

struct enrolment_harness {
  std::string file = testing::TempDir() + "cpns-enrol-XXXXXX";
  user_id user = user_id::parse("alice@example.org").value();
  protocol::user_challenge_answer challenge{{1, 2, 3}, crypto::scram_iterations_min};

  enrolment_harness() { ::close(::mkstemp(file.data())); }
  ~enrolment_harness() { std::filesystem::remove(file); }
  void write(std::string_view text) const { std::ofstream{file, std::ios::trunc | std::ios::binary} << text; }
  [[nodiscard]] auto make() const { return credentials_from_password(user, challenge, file); }
};

TEST(enrolment, ignores_one_line_break_after_the_password) {
  enrolment_harness p;
  const auto expected = crypto::scram_client_key(crypto::openssl_suite(), as_bytes(" two words "),
                                                 p.challenge.salt, p.challenge.iterations);
  for (const char* text : {" two words ", " two words \n", " two words \r\n"}) {
    p.write(text);
    const auto made = p.make();
    ASSERT_TRUE(made.has_value()) << made.error().message();
    EXPECT_EQ(made->client_key, expected);
    EXPECT_EQ(made->salt, p.challenge.salt);
    EXPECT_EQ(made->password_time, password_time(p.file));
  }
}

TEST(enrolment, refuses_files_without_a_password_and_names_them) {
  enrolment_harness p;
  for (const auto& text :
       {std::string{}, std::string{"\n"}, std::string(1025, 'x'), std::string(1'000'000, 'x')}) {
    p.write(text);
    const auto made = p.make();
    ASSERT_FALSE(made.has_value()) << text.size();
    EXPECT_EQ(made.error().code, errc::config_file);
    EXPECT_THAT(made.error().detail, testing::HasSubstr(p.file));
  }
  std::filesystem::remove(p.file);
  EXPECT_EQ(p.make().error().code, errc::config_file);
  EXPECT_EQ(password_time(p.file), 0);
  EXPECT_EQ(credentials_from_password(p.user, p.challenge, {}).error().code, errc::config_missing);
}

TEST(enrolment, refuses_iteration_counts_out_of_bounds_before_reading_the_password) {
  enrolment_harness p;
  std::filesystem::remove(p.file);
  for (const std::uint32_t n :
       {0u, 1u, crypto::scram_iterations_min - 1, crypto::scram_iterations_max + 1, 0xffffffffu}) {
    p.challenge.iterations = n;
    const auto made = p.make();
    ASSERT_FALSE(made.has_value());
    EXPECT_EQ(made.error().code, errc::peer_policy) << n;
    EXPECT_THAT(made.error().detail, testing::HasSubstr(std::to_string(n)));
  }
}

TEST(enrolment, a_password_file_that_is_written_again_has_another_time) {
  enrolment_harness p;
  p.write("one");
  const auto before = password_time(p.file);
  std::filesystem::last_write_time(p.file,
                                   std::filesystem::last_write_time(p.file) + std::chrono::milliseconds{1});
  EXPECT_NE(before, 0);
  EXPECT_NE(password_time(p.file), before);
}

}  // namespace
}  // namespace cpns::actors
