#include "cli/commands.hpp"

#include "cli/trial_folder.hpp"
#include "temp_folder.hpp"

namespace cpns::cli {
namespace {

class named_files : public test::temp_folder {
 protected:
  void SetUp() override {
    const auto made = make_trial_folder({.folder = trial, .devices = 1});
    ASSERT_TRUE(made) << made.error().detail;
  }
  /// "LINE:COLUMN: 'KEY': ERROR", with H for the trial folder.
  std::vector<std::string> wrong(const std::string& role) const {
    const auto checked = config::check_file(trial / (role + ".yaml"));
    if (!checked) return checked.error().lines();
    std::vector<std::string> out;
    for (auto line : check_named_files(*checked).lines()) {
      line = line.substr((trial / (role + ".yaml:")).string().size());
      for (auto at = line.find(trial.string()); at != std::string::npos; at = line.find(trial.string()))
        line.replace(at, trial.string().size(), "H");
      out.push_back(line);
    }
    return out;
  }
  void change(const std::string& file, const std::string& what, const std::string& by) const {
    auto text = read(trial / file);
    const auto at = text.find(what);
    ASSERT_NE(at, std::string::npos) << what;
    std::ofstream(trial / file, std::ios::binary) << text.replace(at, what.size(), by);
  }
  using lines = std::vector<std::string>;
  std::filesystem::path trial = folder / "h";
};

TEST_F(named_files, finds_no_error_in_a_new_trial_folder) {
  for (const auto* role : {"server", "gateway", "pne"}) EXPECT_EQ(wrong(role), lines{}) << role;
}

TEST_F(named_files, reports_tls_files_each_at_its_key) {
  std::filesystem::remove(trial / "tls/server.pem");
  std::filesystem::remove(trial / "tls/ca.pem");
  std::filesystem::create_directory(trial / "tls/ca.pem");
  EXPECT_EQ(wrong("server"),
            (lines{"8:16: 'tls.certificate': certificate file H/tls/server.pem: No such file or directory",
                   "10:7: 'tls.ca': CA file H/tls/ca.pem: this is a folder, not a file"}));
  std::filesystem::copy_file(trial / "tls/server.key", trial / "tls/gateway.key",
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_EQ(wrong("gateway").at(0),
            "14:8: 'tls.key': private key file H/tls/gateway.key does not belong to the "
            "certificate in H/tls/gateway.pem; put the key there that the certificate was made for, or the "
            "certificate of this key");
  ::chmod((trial / "tls/gateway.key").c_str(), 0644);
  EXPECT_NE(
      wrong("gateway").at(0).find("14:8: 'tls.key': private key file H/tls/gateway.key: group or others"),
      std::string::npos);
}

TEST_F(named_files, reports_a_certificate_of_the_other_role) {
  change("gateway.yaml", "tls/gateway.pem", "tls/server.pem");
  change("gateway.yaml", "tls/gateway.key", "tls/server.key");
  const auto errors = wrong("gateway");
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_NE(errors[0].find("'tls.certificate': certificate file H/tls/server.pem is not for a client"),
            std::string::npos)
      << errors[0];
}

TEST_F(named_files, reads_secrets_as_the_role_will) {
  ::chmod((trial / "password").c_str(), 0644);
  write("h/gateway.kek", "too short\n");
  const auto errors = wrong("gateway");
  ASSERT_EQ(errors.size(), 2U);
  EXPECT_NE(errors[0].find("'user_password_file': H/password: group or others"), std::string::npos)
      << errors[0];
  EXPECT_NE(errors[1].find("'protector.file': the key file H/gateway.kek does not hold 64"),
            std::string::npos)
      << errors[1];
  std::filesystem::remove(trial / "password");
  EXPECT_EQ(wrong("gateway").size(), 1U) << "it may be removed after enrolment";
  write("h/devices.csv", "entity_id,temporary_key,strength\nurn:dev:mac:0024befffe804ff1,"
                         "0x8f14e45fceea167a5a36dedd4bea2543,128bit\n");
  const auto list = wrong("pne");
  ASSERT_EQ(list.size(), 1U);
  EXPECT_NE(list[0].find("'devices_file': H/devices.csv:2: urn:dev:mac:0024befffe804ff1: the temporary key"),
            std::string::npos)
      << list[0];
}

TEST_F(named_files, reports_paths_that_the_role_cannot_write) {
  change("gateway.yaml", "socket: state/gateway.sock", "socket: nowhere/s\nready_file: state");
  change("gateway.yaml", "path: state/gateway", "path: password");
  const auto errors = wrong("gateway");
  ASSERT_EQ(errors.size(), 3U);
  EXPECT_NE(errors[0].find("'store.path': H/password: this is not a folder"), std::string::npos) << errors[0];
  EXPECT_NE(errors[1].find("'api.socket': H/nowhere/s: its folder does not exist"), std::string::npos)
      << errors[1];
  EXPECT_NE(errors[2].find("'ready_file': H/state: this is a folder; name another path"), std::string::npos)
      << errors[2];
}

}  // namespace
}  // namespace cpns::cli
