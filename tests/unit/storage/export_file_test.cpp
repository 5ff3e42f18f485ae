// A file of `cpns store export`: what is written is read again, and any byte that is changed, missing or added is noticed.
#include <sys/stat.h>

#include <filesystem>

#include "base/cbor.hpp"
#include "storage/export_file.hpp"
#include "tests/support/key_file.hpp"
#include "tests/support/killed_process.hpp"
#include "tests/unit/storage/support.hpp"

namespace cpns::storage::testing {
namespace {

namespace fs = std::filesystem;

std::unique_ptr<key_protector> export_passphrase(std::string_view text = "a long passphrase") {
  return make_passphrase_protector(secret_bytes::from_text(text)).value();
}

struct export_file : ::testing::Test {
  temporary_folder folder;
  fs::path file = folder.path() / "server.export";
  std::unique_ptr<key_protector> key = test::key_file_protector(random_source());

  std::unique_ptr<export_writer> begin(if_exists rule = if_exists::refuse) {
    return export_writer::begin(file, rule, *key, time_point(seconds(1'800'000'000)), random_source())
        .value();
  }
  /// `rows` rows of 40 bytes.
  void write(int rows) {
    auto out = begin();
    for (int i = 0; i < rows; ++i)
      ASSERT_OK(out->add({i % 2 == 0 ? table::devices : table::users, b("row " + std::to_string(i)),
                          secret_bytes(bytes(40, static_cast<std::uint8_t>(i)))}));
    ASSERT_OK(out->finish());
  }
  /// Number of rows, or the first error.
  result<std::size_t> read() const {
    CPNS_TRY(const auto in, export_reader::open(file, *key));
    std::size_t rows = 0;
    while (true) {
      CPNS_TRY(const auto chunk, in->next());
      if (!chunk) return rows;
      rows += chunk->size();
    }
  }
  std::string message() const {
    const auto found = read();
    return found ? std::to_string(*found) + " rows" : found.error().message();
  }
};

TEST_F(export_file, gives_back_every_row_in_several_chunks) {
  write(1201);
  const auto in = export_reader::open(file, *key).value();
  for (int pass = 0; pass < 2; ++pass) {
    int i = 0;
    std::uint64_t chunks = 0;
    for (auto rows = in->next().value(); rows; rows = in->next().value()) {
      EXPECT_EQ(in->chunk(), ++chunks);
      for (const auto& r : *rows) {
        EXPECT_EQ(r.table, i % 2 == 0 ? table::devices : table::users);
        EXPECT_EQ(as_text(r.row), "row " + std::to_string(i));
        EXPECT_EQ(r.value, secret_bytes(bytes(40, static_cast<std::uint8_t>(i))));
        ++i;
      }
    }
    EXPECT_EQ(i, 1201);
    EXPECT_EQ(chunks, 3U);
    EXPECT_EQ(in->position(), in->size());
    ASSERT_OK(in->rewind());
  }
}

TEST_F(export_file, holds_no_row_in_clear_and_only_its_owner_reads_it) {
  write(3);
  struct stat about {};
  ASSERT_EQ(::stat(file.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 07777U, 0600U);
  EXPECT_EQ(content_of(file).find("row 1"), std::string::npos);
  EXPECT_FALSE(fs::exists(file.string() + ".creating"));
}

TEST_F(export_file, is_refused_when_it_is_cut_at_any_byte) {
  write(4);
  const auto whole = content_of(file);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    set_content(file, whole.substr(0, size));
    EXPECT_EQ(code(read()), "config_file") << size;
  }
  set_content(file, whole);
  EXPECT_EQ(message(), "4 rows");
}

TEST_F(export_file, is_refused_when_any_byte_is_changed_or_added) {
  write(4);
  const auto whole = content_of(file);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    auto changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    set_content(file, changed);
    EXPECT_FALSE(read()) << at;
  }
  set_content(file, whole + "x");
  EXPECT_NE(message().find("bytes follow its end"), std::string::npos) << message();
}

TEST_F(export_file, is_refused_when_chunks_are_exchanged_left_out_or_of_another_file) {
  write(1001);
  const auto whole = content_of(file);
  std::vector<std::string> frames;
  for (std::size_t at = std::string_view("cpns export\n").size(); at < whole.size();) {
    std::size_t size = 4;
    for (std::size_t i = 0, n = 0; i < 4; ++i) {
      n = n << 8U | static_cast<std::uint8_t>(whole[at + i]);
      if (i == 3) size += n;
    }
    frames.push_back(whole.substr(at, size));
    at += size;
  }
  ASSERT_EQ(frames.size(), 5U) << "header, three chunks, end";
  const auto with = [&](const std::vector<std::string>& parts) {
    std::string text = "cpns export\n";
    for (const auto& p : parts) text += p;
    set_content(file, text);
    return code(read());
  };
  EXPECT_EQ(with(frames), "ok");
  EXPECT_EQ(with({frames[0], frames[2], frames[1], frames[3], frames[4]}), "config_file");
  EXPECT_EQ(with({frames[0], frames[1], frames[2], frames[4]}), "config_file");
  EXPECT_EQ(with({frames[0], frames[1], frames[1], frames[2], frames[3], frames[4]}), "config_file");
  fs::remove(file);
  write(1001);
  const auto other = content_of(file).substr(0, std::string_view("cpns export\n").size() + frames[0].size());
  set_content(file, other + frames[1] + frames[2] + frames[3] + frames[4]);
  EXPECT_EQ(code(read()), "config_file");
}

TEST_F(export_file, opens_with_its_own_key_alone) {
  write(1);
  key = test::key_file_protector(random_source());
  EXPECT_EQ(code(read()), "store_key");
  key = export_passphrase();
  EXPECT_EQ(code(read()), "store_key");
  fs::remove(file);
  write(2);
  EXPECT_EQ(message(), "2 rows");
  key = export_passphrase("another passphrase");
  EXPECT_EQ(code(read()), "store_key");
  EXPECT_NE(message().find("--passphrase-file"), std::string::npos);
}

TEST_F(export_file, of_a_later_format_or_of_another_program_says_so) {
  set_content(file, "entity_id,temporary_key\n");
  EXPECT_NE(message().find("not a file of `cpns store export`"), std::string::npos) << message();
  const auto header = cbor::writer().array(2).uint(export_format_version + 1).null().take();
  set_content(file, "cpns export\n" + std::string(3, '\0') + static_cast<char>(header.size()) +
                        std::string(as_text(header)));
  EXPECT_NE(message().find("has format 2, and this release reads format 1"), std::string::npos) << message();
}

TEST_F(export_file, is_written_whole_or_not_at_all) {
  {
    auto out = begin();
    ASSERT_OK(out->add({table::users, b("alice"), secret_bytes::from_text("a")}));
    EXPECT_TRUE(fs::exists(file.string() + ".creating"));
  }
  EXPECT_TRUE(fs::is_empty(folder.path()));
  write(2);
  const auto again = export_writer::begin(file, if_exists::refuse, *key, {}, random_source());
  EXPECT_EQ(code(again), "state_exists");
  { auto left = begin(if_exists::replace); }
  EXPECT_EQ(message(), "2 rows");
  auto out = begin(if_exists::replace);
  ASSERT_OK(out->finish());
  EXPECT_EQ(message(), "0 rows");
}

TEST_F(export_file, replaces_the_part_that_a_killed_process_left) {
  const fs::path part = file.string() + ".creating";
  ASSERT_TRUE(test::in_killed_process([this](const auto& die) {
    auto out = begin();
    bool good = true;
    for (int i = 0; i < 600; ++i)
      good = good && out->add({table::users, b("left " + std::to_string(i)), secret_bytes(bytes(40))});
    die(good);
  }));
  ASSERT_GT(fs::file_size(part), 500U * 40);
  ::chmod(part.c_str(), 0644);
  auto out = begin();
  EXPECT_EQ(fs::status(part).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_TRUE(test::in_killed_process([this](const auto& die) {
    die(code(export_writer::begin(file, if_exists::refuse, *key, {}, random_source())) == "store_locked");
  })) << "a living process has the part";
  ASSERT_OK(out->finish());
  EXPECT_EQ(message(), "0 rows");
  EXPECT_FALSE(fs::exists(part));
}

TEST_F(export_file, says_that_its_part_cannot_be_replaced) {
  const fs::path part = file.string() + ".creating";
  fs::create_directory(part);
  const auto out = export_writer::begin(file, if_exists::refuse, *key, {}, random_source());
  EXPECT_EQ(code(out), "config_file");
  EXPECT_NE(out.error().detail.find(part.string() + ": Is a directory; there is one that cannot be replaced"),
            std::string::npos)
      << out.error().detail;
}

TEST_F(export_file, does_not_replace_one_that_was_made_meanwhile) {
  auto out = begin();
  set_content(file, "of somebody else");
  EXPECT_EQ(code(out->finish()), "state_exists");
  out.reset();
  EXPECT_EQ(content_of(file), "of somebody else");
  EXPECT_FALSE(fs::exists(file.string() + ".creating"));
}

TEST_F(export_file, names_a_folder_in_which_nothing_can_be_made) {
  const auto out =
      export_writer::begin(folder.path() / "missing" / "x", if_exists::refuse, *key, {}, random_source());
  EXPECT_EQ(code(out), "config_file");
  EXPECT_NE(out.error().detail.find("missing/x"), std::string::npos);
}

}  // namespace
}  // namespace cpns::storage::testing
