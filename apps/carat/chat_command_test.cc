#include "chat_command.h"

#include <gtest/gtest.h>

namespace carat {
namespace {

TEST(ChatCommandTest, ASlashAndAWordAreACommand) {
  EXPECT_TRUE(is_chat_command("/help"));
  EXPECT_TRUE(is_chat_command("/system be brief"));
  EXPECT_TRUE(is_chat_command("/nothing\tof the kind"));
  for (const char* message : {"", "help", " /help", "/", "//", "/ help", "/etc/hosts", "/* a comment */", "/help?",
                              "/clear\nand more", "/1"}) {
    EXPECT_FALSE(is_chat_command(message)) << message;
  }
}

TEST(ChatCommandTest, TheArgumentIsTheRest) {
  const ChatCommand command = parse_chat_command("/system   be  brief ").value();
  EXPECT_EQ(command.verb, ChatVerb::kSystem);
  EXPECT_EQ(command.argument, "be  brief");
  EXPECT_EQ(parse_chat_command("/system").value().argument, "");
  EXPECT_EQ(parse_chat_command("/save a file.json").value().argument, "a file.json");
}

TEST(ChatCommandTest, AMissingOrNeedlessArgumentIsWrong) {
  EXPECT_EQ(parse_chat_command("/save").error().message, "something is missing: /save FILE");
  EXPECT_EQ(parse_chat_command("/clear all").error().message, "/clear takes nothing behind it");
}

TEST(ChatCommandTest, AnUnknownNameSuggestsTheNearest) {
  EXPECT_EQ(parse_chat_command("/hepl").error().message, "there is no command /hepl; is it /help?");
  EXPECT_EQ(parse_chat_command("/stat").error().message, "there is no command /stat; is it /stats?");
  EXPECT_EQ(parse_chat_command("/quit").error().message, "there is no command /quit; is it /exit?");
  EXPECT_EQ(parse_chat_command("/abracadabra").error().message,
            "there is no command /abracadabra; /help lists those that there are");
}

TEST(ChatCommandTest, HelpHasALineForEach) {
  const std::string help = chat_command_help();
  for (const char* name : {"/help ", "/clear ", "/think on|off|fold|unfold ", "/load FILE ", "/undo ", "/exit "}) {
    EXPECT_NE(help.find(name), std::string::npos) << name;
  }
}

}  // namespace
}  // namespace carat
