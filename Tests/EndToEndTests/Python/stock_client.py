"""Gets a token and sends one message with Amazon's own Python SDK, of which no line is changed.

Environment: BASE_URL (both of Amazon's base URLs), CLIENT_ID, CLIENT_SECRET, USER_ID.
Exit status: 0 for a 2xx answer, 3 for an error that the SDK understood, 4 for one that it could not read.
"""

import os
import sys

from ask_sdk_model.services.api_configuration import ApiConfiguration
from ask_sdk_model.services.authentication_configuration import AuthenticationConfiguration
from ask_sdk_model.services.lwa.lwa_client import LwaClient
from ask_sdk_model.services.service_exception import ServiceException
from ask_sdk_model.services.skill_messaging import SendSkillMessagingRequest, SkillMessagingServiceClient
from ask_sdk_model_runtime import DefaultApiClient, DefaultSerializer, SerializationException


def main():
    api = ApiConfiguration(
        serializer=DefaultSerializer(), api_client=DefaultApiClient(), api_endpoint=os.environ["BASE_URL"])
    credentials = AuthenticationConfiguration(
        client_id=os.environ["CLIENT_ID"], client_secret=os.environ["CLIENT_SECRET"])
    client = SkillMessagingServiceClient(
        api_configuration=api, authentication_configuration=credentials,
        lwa_client=LwaClient(api_configuration=api, authentication_configuration=credentials))
    message = SendSkillMessagingRequest(data={"sampleMessage": "Sample Message"}, expires_after_seconds=60)
    try:
        response = client.send_skill_message(os.environ["USER_ID"], message, full_response=True)
        print("status", response.status_code)
        return 0
    except ServiceException as error:
        print("status", error.status_code)
        return 3
    except SerializationException as error:
        print("unreadable", error)
        return 4


if __name__ == "__main__":
    sys.exit(main())
