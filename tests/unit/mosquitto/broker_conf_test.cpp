#include "consumers/mosquitto/broker_conf.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/temporary_folder.hpp"

namespace {

class BrokerConf : public testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) {
    const auto path = folder_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
    return path.string();
  }

  static broker_conf read(std::string_view cmdline) {
    broker_conf found{};
    broker_conf_read(&found, cmdline.data(), cmdline.size());
    return found;
  }

  static std::string line(std::initializer_list<std::string> args) {
    std::string out;
    for (const auto& a : args) {
      out += a + '\0';
    }
    return out;
  }

  broker_conf read_text(const std::string& text) {
    return read(line({"mosquitto", "-c", write("m.conf", text)}));
  }

  void refused(const std::string& text, unsigned number, const std::string& word) {
    const auto found = read_text(text);
    EXPECT_EQ(found.verdict, BROKER_CONF_REFUSED) << text;
    const std::string said = found.text;
    EXPECT_TRUE(said.starts_with((folder_ / "m.conf").string() + ":" + std::to_string(number) + ": "))
        << said;
    EXPECT_NE(said.find(word), std::string::npos) << said;
    EXPECT_EQ(said.find('\n'), std::string::npos);
  }

  void good(const std::string& text) {
    const auto found = read_text(text);
    EXPECT_EQ(found.verdict, BROKER_CONF_GOOD) << text << found.text;
    EXPECT_STREQ(found.text, "");
  }

  cpns::temporary_folder made_ = cpns::temporary_folder::make("broker-conf").value();
  std::filesystem::path folder_{made_.path()};
};

TEST_F(BrokerConf, IsGoodWithThePlainListenersThatTheBrokerMayHaveBesides) {
  good("listener 1883 127.0.0.1\n\n# psk_file x\nlistener 8883\npsk_hint pn\nuse_identity_as_username "
       "true\nper_listener_settings false\n");
  good("listener 8883\r\nuse_identity_as_username 1\r\npsk_hint pn\r\n");
  good("psk_hint pn\nuse_identity_as_username true\nlistener 1883");
  good("");
}

TEST_F(BrokerConf, SaysWhetherThereIsAListOfRights) {
  EXPECT_FALSE(read_text("listener 1883\n#acl_file x\n").acl_file);
  EXPECT_TRUE(read_text("listener 1883\nacl_file x\n").acl_file);
}

TEST_F(BrokerConf, IsRefusedWithAFileOfKeys) {
  refused("listener 8883\npsk_file /etc/keys\n", 2, "psk_file");
  refused("\n\n  psk_file /etc/keys\n", 3, "psk_file");
}

TEST_F(BrokerConf, IsRefusedWithSettingsPerListenerUnlessALaterLineTakesThemBack) {
  refused("# first\nper_listener_settings true\nlistener 1883\n", 2, "per_listener_settings");
  refused("per_listener_settings false\nper_listener_settings  1\n", 2, "per_listener_settings");
  good("per_listener_settings true\nper_listener_settings false\n");
}

TEST_F(BrokerConf, IsRefusedWhenOneListenerWithKeysDoesNotUseTheIdentity) {
  const std::string word = "use_identity_as_username";
  refused("listener 8883\npsk_hint pn\n", 2, word);
  refused("listener 8883\npsk_hint pn\nuse_identity_as_username false\n", 2, word);
  refused("listener 8883\nuse_identity_as_username true\nlistener 8884\npsk_hint pn\n", 4, word);
  refused("listener 8883\npsk_hint pn\nlistener 8884\nuse_identity_as_username true\n", 2, word);
  refused("psk_hint pn\nlistener 8884\nuse_identity_as_username true\n", 1, word);
  refused("listener 8883\npsk_hint pn\n#use_identity_as_username true\n", 2, word);
  refused("listener 8883\npsk_hint pn\nuse_identity_as_username\ttrue\n", 2,
          word);  // the broker knows spaces alone
}

TEST_F(BrokerConf, HasTheFilesOfItsFolderToo) {
  const auto folder = (folder_ / "conf.d").string();
  write("conf.d/a.conf", "listener 1883\n");
  write("conf.d/b.conf.off", "psk_file x\n");
  good("include_dir " + folder + "\n");
  write("conf.d/b.conf", "# a comment\npsk_file x\ninclude_dir /nowhere\n");
  const auto found = read_text("include_dir " + folder + "\n");
  EXPECT_EQ(found.verdict, BROKER_CONF_REFUSED);
  EXPECT_TRUE(std::string(found.text).starts_with(folder + "/b.conf:2: ")) << found.text;
}

TEST_F(BrokerConf, HasOneListenerBeforeTheFirstLineOfThatNameInAllFiles) {
  const auto folder = (folder_ / "conf.d").string();
  write("conf.d/a.conf", "use_identity_as_username true\n");
  good("psk_hint pn\ninclude_dir " + folder + "\n");
  write("conf.d/B.conf", "use_identity_as_username false\n");
  refused("psk_hint pn\ninclude_dir " + folder + "\n", 1, "use_identity_as_username");
}

TEST_F(BrokerConf, GoesOnWithTheListenerAfterAFolder) {
  const auto folder = (folder_ / "conf.d").string();
  write("conf.d/a.conf", "listener 1883\n");
  refused("listener 8883\npsk_hint pn\ninclude_dir " + folder + "\n", 2, "use_identity_as_username");
  good("listener 8883\npsk_hint pn\ninclude_dir " + folder + "\nuse_identity_as_username true\n");
}

TEST_F(BrokerConf, IsReadFromEachFileOfTheCommandLine) {
  const auto first = write("1.conf", "listener 1883\n");
  const auto second = write("2.conf", "psk_file x\n");
  EXPECT_EQ(read(line({"mosquitto", "-v", "-c", first, "--config-file", second})).verdict,
            BROKER_CONF_REFUSED);
  EXPECT_EQ(read(line({"mosquitto", "--config-file", first, "-p", "1884"})).verdict, BROKER_CONF_GOOD);
}

TEST_F(BrokerConf, ThatCannotBeReadIsNotGood) {
  const auto unreadable = [](const broker_conf& found) {
    return found.verdict == BROKER_CONF_UNREADABLE && found.text[0] != '\0';
  };
  EXPECT_TRUE(unreadable(read(line({"mosquitto", "-c", (folder_ / "none").string()}))));
  EXPECT_TRUE(unreadable(read(line({"mosquitto", "-c", folder_.string()}))));
  EXPECT_TRUE(unreadable(read(line({"mosquitto", "-v"}))));
  EXPECT_TRUE(unreadable(read(line({"mosquitto", "-c"}))));
  EXPECT_TRUE(unreadable(read("")));
  EXPECT_TRUE(unreadable(read("mosquitto")));
  EXPECT_TRUE(unreadable(read_text("include_dir " + (folder_ / "none").string() + "\n")));
}

TEST_F(BrokerConf, OfThisProcessHasNone) {
  broker_conf found{};
  broker_conf_read_own(&found);
  EXPECT_EQ(found.verdict, BROKER_CONF_UNREADABLE);
}

TEST_F(BrokerConf, MayHaveLinesOfAnyLength) {
  good("acl_file " + std::string(100'000, 'a') +
       "\nlistener 8883\npsk_hint pn\nuse_identity_as_username true\n");
  refused("acl_file " + std::string(100'000, 'a') + "\npsk_file " + std::string(5'000, 'b'), 2, "psk_file");
}

}  // namespace
