"""The elements of a de-identified film, and where the value of each comes from.

The basic profile of PS3.15 Annex E lists what to remove or replace. Here it is the other way round: an element that
is not in these tables is removed, so that private elements, and those of later editions of the standard, cannot slip
through. No element that is kept is listed in the profile (2026c). A value is kept as a code of a fixed list or as a
number, never as text, so that no name can hide in it.
"""

from __future__ import annotations

SOP_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.1": "Computed Radiography",
    "1.2.840.10008.5.1.4.1.1.1.1": "Digital X-Ray, for presentation",
    "1.2.840.10008.5.1.4.1.1.1.1.1": "Digital X-Ray, for processing",
    "1.2.840.10008.5.1.4.1.1.7": "Secondary Capture",
}
"""Kinds of objects that are de-identified."""

CODES = {
    "Modality": "CR|DX|RF|XA|RG|SC|OT",
    "PresentationIntentType": "FOR PRESENTATION|FOR PROCESSING",
    "ConversionType": "DV|DI|DF|WSD|SD|SI|DRW|SYN",
    "BodyPartExamined": "SPINE|LSPINE|LSSPINE|SSPINE|TSPINE|TLSPINE|CSPINE|CTSPINE|WHOLESPINE|PELVIS|ABDOMEN|HIP",
    "ViewPosition": "AP|PA|LL|RL|LLD|RLD|LLO|RLO",
    "Laterality": "L|R",
    "ImageLaterality": "L|R|U|B",
    "PatientOrientation": "[APLRHF]{1,3}",
    "PixelSpacingCalibrationType": "GEOMETRY|FIDUCIAL",
    "PixelIntensityRelationship": "LIN|LOG|DISP",
    "VOILUTFunction": "LINEAR|LINEAR_EXACT|SIGMOID",
    "PresentationLUTShape": "IDENTITY|INVERSE",
    "BurnedInAnnotation": "YES|NO",
    "LossyImageCompression": "00|01",
    "LossyImageCompressionMethod": "ISO_10918_1|ISO_14495_1|ISO_15444_1|ISO_15444_15",
}
"""Pattern of the values that are kept."""

NUMBERS = {
    "PixelSpacing": 2,
    "ImagerPixelSpacing": 2,
    "PixelAspectRatio": 2,
    "DistanceSourceToDetector": 1,
    "DistanceSourceToPatient": 1,
    "EstimatedRadiographicMagnificationFactor": 1,
    "PixelIntensityRelationshipSign": 1,
    "PixelPaddingValue": 1,
    "PixelPaddingRangeLimit": 1,
    "RescaleSlope": 1,
    "RescaleIntercept": 1,
    "WindowCenter": 1,
    "WindowWidth": 1,
    "LossyImageCompressionRatio": 1,
}
"""How many values are kept, the first ones."""

LUTS = ("ModalityLUTSequence", "VOILUTSequence")
"""Sequences of which the first item is kept, with `LUTDescriptor` and `LUTData` alone."""

PIXELS = (
    "SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "PixelData",
)  # fmt: skip
"""Written anew from the decoded pixels, so that nothing is left in a compressed stream, or in bits above the levels."""

UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
PATIENT = ("PatientName", "PatientID")

EMPTIED = (
    "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber",
    "ReferringPhysicianName", "SeriesNumber", "InstanceNumber", "Manufacturer",
)  # fmt: skip
"""An object must have these, if empty."""

SET = {
    "ImageType": "DERIVED\\PRIMARY",
    "PatientIdentityRemoved": "YES",
    "LongitudinalTemporalInformationModified": "REMOVED",
}

READ = ("SOPClassUID", *UIDS, *CODES, *NUMBERS, *LUTS)
"""What is read from the header of a film beside what is needed to show it."""

REMOVED_EXAMPLES = (
    "InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName", "StationName", "OperatorsName",
    "PerformingPhysicianName", "PhysiciansOfRecord", "NameOfPhysiciansReadingStudy", "RequestingPhysician",
    "StudyDescription", "SeriesDescription", "ProtocolName", "RequestedProcedureDescription",
    "PerformedProcedureStepDescription", "PerformedProcedureStepID", "ReasonForTheRequestedProcedure",
    "AdmittingDiagnosesDescription", "PatientComments", "ImageComments", "AcquisitionComments",
    "AdditionalPatientHistory",
    "OtherPatientIDsSequence", "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName", "PatientAddress",
    "PatientTelephoneNumbers", "PatientAge", "PatientSize", "PatientWeight", "EthnicGroup", "Occupation",
    "PatientBirthTime", "SeriesDate", "AcquisitionDate", "ContentDate", "SeriesTime", "AcquisitionTime", "ContentTime",
    "AcquisitionDateTime", "InstanceCreationDate", "TimezoneOffsetFromUTC", "DeviceSerialNumber", "DetectorID",
    "PlateID",
    "CassetteID", "GantryID", "DateOfLastDetectorCalibration", "SoftwareVersions", "IssuerOfPatientID",
    "RequestAttributesSequence", "ReferencedImageSequence", "SourceImageSequence", "FrameOfReferenceUID",
    "IconImageSequence", "OriginalAttributesSequence", "DigitalSignaturesSequence", "EncryptedAttributesSequence",
)  # fmt: skip
"""Elements of radiographs that are removed, as all others not in the tables above; named for the documentation."""
