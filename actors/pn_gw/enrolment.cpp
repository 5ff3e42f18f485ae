#include "actors/pn_gw/enrolment.hpp"

#include <sys/stat.h>

#include "base/private_file.hpp"
#include "crypto/scram.hpp"
#include "protocol/codec.hpp"

namespace cpns::actors {
namespace {

/// Too few are a server that wants to guess the password, too many keep the gateway busy.
status check_iterations(const protocol::user_challenge_answer& challenge) {
  if (challenge.iterations >= crypto::scram_iterations_min &&
      challenge.iterations <= crypto::scram_iterations_max)
    return {};
  return fail(errc::peer_policy, "the server requests " + std::to_string(challenge.iterations) +
                                     " password iterations; 100000 to 10000000 are accepted");
}

}  // namespace

result<secret_bytes> read_user_password(const std::filesystem::path& file) {
  if (file.empty())
    return fail(
        errc::config_missing,
        "this gateway is not enrolled yet: set user_password_file to the file with the user's password");
  auto password = read_secret_line(file, user_password_max);
  if (!password) return fail(errc::config_file, "user_password_file " + password.error().detail);
  return password;
}

byte_array<32> proof_of(const protocol::key_assignment_request& request, const user_credentials& c,
                        const secret32& exporter) {
  const auto& suite = crypto::openssl_suite();
  const auto message = crypto::scram_auth_message(exporter, suite.sha256(encode_for_proof(request)));
  return crypto::scram_proof(suite, c.client_key, message);
}

std::int64_t password_time(const std::filesystem::path& file) {
  struct stat s {};
  if (file.empty() || ::stat(file.c_str(), &s) != 0) return 0;
  return std::int64_t{s.st_mtim.tv_sec} * 1'000'000'000 + s.st_mtim.tv_nsec;
}

result<user_credentials> derive_credentials(const user_id& user,
                                            const protocol::user_challenge_answer& challenge,
                                            const secret_bytes& password, std::int64_t written) {
  CPNS_CHECK(check_iterations(challenge));
  user_credentials c;
  c.user = user;
  c.salt = challenge.salt;
  c.iterations = challenge.iterations;
  c.password_time = written;
  c.client_key = crypto::scram_client_key(crypto::openssl_suite(), password.expose(), c.salt, c.iterations);
  return c;
}

result<user_credentials> credentials_from_password(const user_id& user,
                                                   const protocol::user_challenge_answer& challenge,
                                                   const std::filesystem::path& file) {
  CPNS_CHECK(check_iterations(challenge));
  const auto written = password_time(file);
  CPNS_TRY(const auto password, read_user_password(file));
  return derive_credentials(user, challenge, password, written);
}

}  // namespace cpns::actors
